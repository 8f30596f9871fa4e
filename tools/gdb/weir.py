# SPDX-License-Identifier: MIT
"""gdb commands that know coroutines; for a live process and for a core file.

    (gdb) source tools/gdb/weir.py
    (gdb) weir co             every coroutine of every thread: id, state, name, where it waits
    (gdb) weir bt ID          its stack; what else is given goes to gdb's backtrace: weir bt 7 full

Where several threads have a coroutine of that id, write THREAD.ID with gdb's number of the thread,
as weir co prints it. Nothing is written to the process: a coroutine's stack is walked by an
unwinder that says, while it is asked to, that the coroutine's registers come after frame 0.

A core file must come from the kernel: gdb's own generate-core-file cannot read past the guards of
the stacks where those are made with MADV_GUARD_INSTALL.
"""

import re

import gdb
import gdb.unwinder

# Offsets in the saved context: src/co/switch_x86_64.S and src/co/switch_aarch64.S.
X86_64 = {"rip": 56, "rbp": 48, "rbx": 40, "r12": 32, "r13": 24, "r14": 16, "r15": 8}
X86_64_BYTES = 64
AARCH64 = {"pc": 88, "x29": 80, **{f"x{19 + i}": 8 * i for i in range(10)}}
AARCH64_BYTES = 176

# Indices of glibc's gregs, for the x86-64 build with -Dswitch=ucontext.
X86_64_GREGS = {"rip": 16, "rsp": 15, "rbp": 10, "rbx": 11, "r12": 4, "r13": 5, "r14": 6, "r15": 7}

STATES = {"CO_READY": "ready", "CO_RUNNING": "running", "CO_PARKED": "parked", "CO_ENDED": "ended"}


def word_at(address):
    pointer = gdb.Value(address).cast(gdb.lookup_type("unsigned long").pointer())
    return int(pointer.dereference())


def uses_ucontext():
    try:
        gdb.parse_and_eval("(long)&switch_start")
    except gdb.error:
        return True
    return False


def saved_registers(point):
    """What the registers will be when the coroutine goes on: {name: value}."""
    aarch64 = "aarch64" in gdb.selected_frame().architecture().name()
    if uses_ucontext():
        ucontext = gdb.lookup_type("ucontext_t").pointer()
        context = point.cast(ucontext).dereference()["uc_mcontext"]
        if aarch64:
            registers = {f"x{i}": int(context["regs"][i]) for i in range(19, 30)}
            return {**registers, "sp": int(context["sp"]), "pc": int(context["pc"])}
        return {name: int(context["gregs"][i]) for name, i in X86_64_GREGS.items()}
    base = int(point)
    if aarch64:
        registers = {name: word_at(base + offset) for name, offset in AARCH64.items()}
        return {**registers, "sp": base + AARCH64_BYTES}
    registers = {name: word_at(base + offset) for name, offset in X86_64.items()}
    return {**registers, "rsp": base + X86_64_BYTES}


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class Unwinder(gdb.unwinder.Unwinder):
    """Idle unless `registers` is set; then the frame below the newest is the coroutine's."""

    def __init__(self):
        super().__init__("weir coroutine")
        self.registers = None
        self.newest = None

    def __call__(self, pending):
        if self.registers is None:
            return None
        here = (int(pending.read_register("sp")), int(pending.read_register("pc")))
        if here != self.newest:
            return None
        # gdb refuses a stack whose frames do not lie in order: let frame 0 pretend to lie below.
        sp = self.registers.get("rsp", self.registers.get("sp"))
        void = gdb.lookup_type("void").pointer()
        frame_id = FrameId(gdb.Value(sp).cast(void), gdb.Value(here[1]).cast(void))
        unwound = pending.create_unwind_info(frame_id)
        for name, value in self.registers.items():
            kind = pending.read_register(name).type
            unwound.add_saved_register(name, gdb.Value(value).cast(kind))
        return unwound


unwinder = Unwinder()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)


class on_stack_of:
    """with on_stack_of(co) as skipped: the frames after the first `skipped` are the coroutine's."""

    def __init__(self, co):
        self.co = co

    def __enter__(self):
        self.selected = gdb.selected_frame()
        self.level = self.selected.level()
        registers = saved_registers(self.co["point"])
        newest = gdb.newest_frame()
        unwinder.newest = (int(newest.read_register("sp")), int(newest.read_register("pc")))
        skipped = 1
        while newest.type() == gdb.INLINE_FRAME:  # it has the registers of its caller
            newest = newest.older()
            skipped += 1
        unwinder.registers = registers
        gdb.invalidate_cached_frames()
        return skipped

    def __exit__(self, *failure):
        unwinder.registers = None
        gdb.invalidate_cached_frames()
        gdb.execute(f"frame {self.level}", to_string=True)


def schedulers():
    """(thread, struct sched) of each thread that has one."""
    symbol = gdb.lookup_static_symbol("thread_sched")
    if symbol is None:
        raise gdb.GdbError("weir: no variable thread_sched: is this weir, with debug symbols?")
    before = gdb.selected_thread()
    if before is None:
        raise gdb.GdbError("weir: there is no process; run one or load a core file")
    try:
        for thread in sorted(gdb.selected_inferior().threads(), key=lambda t: t.num):
            thread.switch()
            try:
                sched = symbol.value()
                address = int(sched)
            except gdb.error as error:
                raise gdb.GdbError(f"weir: cannot read a thread-local variable: {error}")
            if address:
                yield thread, sched.dereference()
    finally:
        before.switch()


def coroutines(sched):
    kind = gdb.lookup_type("struct co")
    offset = next(f.bitpos // 8 for f in kind.fields() if f.name == "all_link")
    head = sched["all"].address
    link = sched["all"]["next"]
    while link != head:
        yield gdb.Value(int(link) - offset).cast(kind.pointer()).dereference()
        link = link["next"]


def has_started(co):
    registers = saved_registers(co["point"])
    pc = registers.get("rip", registers.get("pc"))
    symbol = gdb.execute(f"info symbol {pc}", to_string=True)
    return not symbol.startswith(("switch_start ", "start in "))


def function_of(co):
    return str(co["fn"]).split("<")[-1].rstrip(">")


def where(co):
    """The innermost function of a coroutine that does not belong to the runtime."""
    if not has_started(co):
        return f"not started: {function_of(co)}"
    with on_stack_of(co) as skipped:
        frame = gdb.newest_frame()
        for _ in range(skipped):
            frame = frame.older()
        while frame is not None and frame.is_valid():
            name, line = frame.name(), frame.find_sal()
            if name is None:
                break
            path = line.symtab.filename if line.symtab else ""
            if "src/co/" not in path and "swapcontext" not in name:
                return f"{name} ({path.rsplit('/', 1)[-1]}:{line.line})"
            frame = frame.older()
    return function_of(co)


class Weir(gdb.Command):
    """weir co: list coroutines. weir bt [THREAD.]ID: show the stack of one."""

    def __init__(self):
        super().__init__("weir", gdb.COMMAND_STACK, prefix=True)


class Co(gdb.Command):
    """List the coroutines of every thread: thread.id, state, name, where it waits."""

    def __init__(self):
        super().__init__("weir co", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        count = 0
        for thread, sched in schedulers():
            for co in coroutines(sched):
                state = STATES.get(str(co["state"]), str(co["state"]))
                place = "-" if state == "running" else where(co)
                canceled = ", canceled" if co["canceled"] else ""
                name = co["name"].string()
                print(f"{thread.num}.{int(co['id'])}  {state}{canceled}  {name}  {place}")
                count += 1
        print(f"{count} coroutine{'' if count == 1 else 's'}")


class Bt(gdb.Command):
    """Show the stack of a coroutine: weir bt [THREAD.]ID [ARGUMENTS OF BACKTRACE]"""

    def __init__(self):
        super().__init__("weir bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        match = re.fullmatch(r"\s*(?:(\d+)\.)?(\d+)\s*(.*)", argument)
        if not match:
            raise gdb.GdbError("usage: weir bt [THREAD.]ID [ARGUMENTS OF BACKTRACE]")
        thread_number, number, rest = match.groups()
        found = [(thread, co) for thread, sched in schedulers() for co in coroutines(sched)
                 if int(co["id"]) == int(number) and thread_number in (None, str(thread.num))]
        if not found:
            raise gdb.GdbError(f"weir: no coroutine {argument.strip()}; weir co lists them")
        if len(found) > 1:
            names = ", ".join(f"{thread.num}.{number}" for thread, _ in found)
            raise gdb.GdbError(f"weir: which one: {names}?")
        thread, co = found[0]
        if str(co["state"]) == "CO_RUNNING":
            raise gdb.GdbError(f"weir: it is running: thread {thread.num}, then bt")
        if not has_started(co):
            print(f"not started: {function_of(co)}")
            return
        with on_stack_of(co) as skipped:
            text = gdb.execute(f"backtrace {rest}", to_string=True)
        frames = re.split(r"^(?=#\d)", text, flags=re.M)
        for frame in frames:
            level = re.match(r"#(\d+)", frame)
            if level and int(level.group(1)) >= skipped:
                print(f"#{int(level.group(1)) - skipped:<3}{frame[level.end():].lstrip()}", end="")


Weir()
Co()
Bt()
