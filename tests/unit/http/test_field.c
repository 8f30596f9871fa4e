/* SPDX-License-Identifier: MIT */
#include "http/field.h"
#include "tests/check.h"

static struct fields fields;

TEST(every_known_name_is_found_in_any_case)
{
    for (int i = FIELD_OTHER + 1; i < FIELD_COUNT; i++) {
        enum field_id id = (enum field_id)i;
        struct weir_slice name = field_name(id);
        char upper[64], longer[64];
        CHECK_EQ(id, field_id_of(name));
        for (size_t k = 0; k < name.len; k++)
            upper[k] =
                name.at[k] >= 'a' && name.at[k] <= 'z' ? (char)(name.at[k] - 32) : name.at[k];
        CHECK_EQ(id, field_id_of(slice_of(upper, name.len)));
        CHECK_EQ(FIELD_OTHER, field_id_of(slice_of(name.at, name.len - 1)));
        memcpy(longer, name.at, name.len);
        longer[name.len] = name.at[name.len - 1];
        CHECK_EQ(FIELD_OTHER, field_id_of(slice_of(longer, name.len + 1)));
    }
}

TEST(near_misses_are_not_known)
{
    CHECK_EQ(FIELD_OTHER, field_id_of(SLICE("")));
    CHECK_EQ(FIELD_OTHER, field_id_of(SLICE("hast")));
    CHECK_EQ(FIELD_OTHER, field_id_of(SLICE("content_length")));
    CHECK_EQ(FIELD_OTHER, field_id_of(SLICE("content\rlength")));
    CHECK_EQ(FIELD_OTHER, field_id_of(SLICE("Host ")));
    CHECK_EQ(FIELD_OTHER, field_id_of(SLICE("x-forwarded-xxx")));
}

TEST(known_names_are_spelled_as_everyone_does)
{
    fields_init(&fields);
    for (int i = FIELD_OTHER + 1; i < FIELD_COUNT; i++) {
        CHECK(fields_add_known(&fields, (enum field_id)i, SLICE("v")));
        const struct field *field = fields_find(&fields, (enum field_id)i);
        CHECK(field && slice_equal_nocase(field->name, field_name((enum field_id)i)));
        CHECK(field && field->name.at[0] >= 'A' && field->name.at[0] <= 'Z');
    }
    CHECK_SLICE(fields_find(&fields, FIELD_CONTENT_LENGTH)->name, "Content-Length");
    CHECK_SLICE(fields_find(&fields, FIELD_WWW_AUTHENTICATE)->name, "WWW-Authenticate");
}

TEST(finds_the_first)
{
    fields_init(&fields);
    CHECK(fields_add(&fields, SLICE("x-a"), SLICE("1")));
    CHECK(fields_add(&fields, SLICE("Via"), SLICE("2")));
    CHECK(fields_add(&fields, SLICE("X-A"), SLICE("3")));
    CHECK(fields_add(&fields, SLICE("via"), SLICE("4")));
    CHECK_SLICE(fields_find(&fields, FIELD_VIA)->value, "2");
    CHECK_SLICE(fields_find_name(&fields, SLICE("VIA"))->value, "2");
    CHECK_SLICE(fields_find_name(&fields, SLICE("x-A"))->value, "1");
    CHECK(!fields_find(&fields, FIELD_HOST));
    CHECK(!fields_find_name(&fields, SLICE("x-b")));
    CHECK(!fields_find_name(&fields, SLICE("host")));
}

TEST(removal_leaves_places)
{
    fields_init(&fields);
    CHECK(fields_add(&fields, SLICE("via"), SLICE("1")));
    CHECK(fields_add(&fields, SLICE("x-a"), SLICE("2")));
    CHECK(fields_add(&fields, SLICE("via"), SLICE("3")));
    fields_remove_at(&fields, 0);
    CHECK(fields_have(&fields, FIELD_VIA));
    CHECK_SLICE(fields_find(&fields, FIELD_VIA)->value, "3");
    fields_remove_at(&fields, 2);
    CHECK(!fields_have(&fields, FIELD_VIA));
    CHECK(!fields_find(&fields, FIELD_VIA));
    CHECK_EQ(3, fields.count);
    unsigned left = 0;
    fields_each (field, &fields) {
        CHECK_SLICE(field->value, "2");
        left++;
    }
    CHECK_EQ(1, left);
    CHECK(fields_add(&fields, SLICE("via"), SLICE("4")));
    CHECK(fields_add(&fields, SLICE("via"), SLICE("5")));
    fields_remove(&fields, FIELD_VIA);
    fields_remove(&fields, FIELD_VIA);
    CHECK(!fields_have(&fields, FIELD_VIA));
    CHECK_SLICE(fields_find_name(&fields, SLICE("X-A"))->value, "2");
}

TEST(a_list_can_be_full)
{
    fields_init(&fields);
    for (int i = 0; i < FIELDS_MAX; i++)
        CHECK(fields_add(&fields, SLICE("x"), SLICE("")));
    CHECK(!fields_add(&fields, SLICE("via"), SLICE("")));
    CHECK(!fields_add_known(&fields, FIELD_VIA, SLICE("")));
    CHECK(!fields_have(&fields, FIELD_VIA));
    CHECK_EQ(FIELDS_MAX, fields.count);
}

static void check_members(struct weir_slice list, const char *want)
{
    char got[128];
    size_t length = 0;
    struct weir_slice member;
    while (field_list_next(&list, &member)) {
        memcpy(got + length, member.at, member.len);
        length += member.len;
        got[length++] = '|';
    }
    CHECK_SLICE(slice_of(got, length), want);
}

TEST(lists)
{
    check_members(SLICE(""), "");
    check_members(SLICE(" , ,\t,"), "");
    check_members(SLICE("a"), "a|");
    check_members(SLICE(" a , b\t,c "), "a|b|c|");
    check_members(SLICE("a,,b,"), "a|b|");
    check_members(SLICE("a;x=\"1,2\",b"), "a;x=\"1,2\"|b|");
    check_members(SLICE("\"a\\\",b\",c"), "\"a\\\",b\"|c|");
    check_members(SLICE("\"a,b"), "\"a,b|");
    check_members(SLICE("\"a\\"), "\"a\\|");
    check_members((struct weir_slice){NULL, 0}, "");
}

TEST(a_token_is_looked_for_in_every_line)
{
    fields_init(&fields);
    CHECK(fields_add(&fields, SLICE("Connection"), SLICE("keep-alive, x")));
    CHECK(fields_add(&fields, SLICE("via"), SLICE("upgrade")));
    CHECK(fields_add(&fields, SLICE("connection"), SLICE("y,CLOSE")));
    CHECK(fields_list_has(&fields, FIELD_CONNECTION, SLICE("close")));
    CHECK(fields_list_has(&fields, FIELD_CONNECTION, SLICE("Keep-Alive")));
    CHECK(!fields_list_has(&fields, FIELD_CONNECTION, SLICE("upgrade")));
    CHECK(!fields_list_has(&fields, FIELD_CONNECTION, SLICE("keep")));
    CHECK(!fields_list_has(&fields, FIELD_TE, SLICE("trailers")));
}

CHECK_MAIN
