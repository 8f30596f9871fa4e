# SPDX-License-Identifier: MIT
"""Runs inside gdb, over an object that includes every public header: prints types and functions.

abi.py declares for each function a pointer `of_NAME`, and for each nameless enumerator a variable
`value_NAME`, since gdb finds these by name.
"""

import re

import gdb


def names(listing, pattern):
    return sorted(set(re.findall(pattern, gdb.execute(listing, to_string=True), re.M)))


def print_struct(name):
    struct = gdb.lookup_type(f"struct {name}")
    print(f"struct {name}: {struct.sizeof} bytes")
    for member in struct.fields():
        size = member.type.strip_typedefs().sizeof
        print(f"    at {member.bitpos // 8}, {size} bytes, {member.name}: {member.type}")


def print_enum(name):
    enum = gdb.lookup_type(f"enum {name}")
    print(f"enum {name}: {enum.sizeof} bytes")
    for member in enum.fields():
        print(f"    {member.name} = {member.enumval}")


def print_nameless():
    print("nameless enumerators")
    for name in names("info variables ^value_", r"\bvalue_(\w+)"):
        print(f"    {name} = {gdb.lookup_global_symbol('value_' + name).value()}")


def print_functions():
    print("functions")
    for name in names("info variables ^of_", r"\bof_(weir_\w+)"):
        pointer = gdb.lookup_global_symbol("of_" + name).type
        print(f"    {name}: {pointer.target()}")


gdb.execute("set width 0")
listing = "info types ^weir_"
for found in names(listing, r"^\d+:\s+struct (weir_\w+);"):
    print_struct(found)
for found in names(listing, r"^\d+:\s+enum (weir_\w+);"):
    print_enum(found)
print_nameless()
print("types of functions")
for found in names(listing, r"\b(weir_\w+_fn|weir_fn);$"):
    print(f"    {found}: {gdb.lookup_type(found).strip_typedefs()}")
print_functions()
