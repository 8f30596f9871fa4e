/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_H2_PLAY_H
#define TESTS_FUZZ_H2_PLAY_H

/*
 * One end of an HTTP/2 connection without a socket, played from an input: a byte for the windows,
 * then steps, each a byte that says which (play_steps) and its arguments. So the input says what
 * the peer sends, frame by frame or as bytes, how it is cut, when the writer sends, and what the
 * users of the streams do meanwhile. A user is memory of its own, freed as soon as its stream has
 * ended, and the coroutine that sends a piece runs between the steps; the loop does not turn.
 *
 * What is checked: the sums of what is held; that no more is held than was granted; where every
 * buffer is; that what is sent is whole frames, with the bodies that were handed over; that after
 * the end nothing is taken; that nothing calls back into the session.
 *
 * Who includes it defines play_act(), what a user does first.
 */

#include "fuzz.h"
#include "co/wait.h"
#include "http/h2_session.h"

enum {
    PLAY_USERS = 6,
    PLAY_ARENA_BYTES = 256 * 1024,
    PLAY_PATTERN = 251, /* bodies repeat after so many bytes */
    PLAY_PIECE_BYTES = (H2_OUT_BUFS + 1) * IOBUF_BYTES,
    PLAY_FRAME_HEAD = 9,
    PLAY_FRAME_MAX = 16384,
    PLAY_REPEATED_BYTES = 16, /* of a frame's payload that comes many times */
    PLAY_REPEATS = 24,
    PLAY_SENTS = 64,
};

struct play_user {
    struct h2_stream stream;
    struct arena arena;
    struct co *sender; /* of the piece; NULL: nobody sends */
    struct http_piece piece;
    nghttp2_nv lines[4]; /* of its head, which views the text */
    char text[64];
    size_t body_bytes;       /* handed over */
    bool asked;              /* the request is there, or was sent */
    bool answers, all_given; /* a body may follow; has followed */
};

/* What of a stream's body has been seen going out. */
struct play_sent {
    uint32_t id;
    size_t bytes; /* SIZE_MAX: another stream was there */
};

/* Reads what goes out. */
struct play_reader {
    unsigned char head[PLAY_FRAME_HEAD];
    unsigned head_bytes;
    size_t skip, left; /* of the preface; of the payload */
    struct play_sent sents[PLAY_SENTS];
};

struct play {
    struct h2_session session;
    struct loop *loop;
    struct weir_slice script; /* what of it is left */
    struct play_user *users[PLAY_USERS];
    struct play_reader reader;
    uint32_t connection_window;
    bool packing, ended;
    char seen; /* of what was received: all of it is read */
};

static struct loop play_loop;
static struct play the_play;
static struct fields play_trailers;
static char play_body[PLAY_PIECE_BYTES + PLAY_PATTERN];
static char play_frames[(PLAY_FRAME_HEAD + PLAY_REPEATED_BYTES) * 256 * PLAY_REPEATS];

static void play_act(struct play *play, struct play_user *user, unsigned how);

/* --- The script ------------------------------------------------------------------------------ */

static unsigned play_byte(struct play *play)
{
    if (play->script.len == 0)
        return 0;
    unsigned byte = (unsigned char)play->script.at[0];
    play->script = slice_skip(play->script, 1);
    return byte;
}

static struct weir_slice play_bytes(struct play *play, size_t count)
{
    struct weir_slice bytes = play->script;
    if (bytes.len > count)
        bytes.len = count;
    play->script = slice_skip(play->script, bytes.len);
    return bytes;
}

/* --- What goes out --------------------------------------------------------------------------- */

static uint32_t play_number(const unsigned char *at, unsigned count)
{
    uint32_t number = 0;
    for (unsigned i = 0; i < count; i++)
        number = number << 8 | at[i];
    return number;
}

static void play_saw_body(struct play_reader *reader, uint32_t id, struct weir_slice bytes)
{
    struct play_sent *sent = &reader->sents[id / 2 % PLAY_SENTS];
    if (sent->id == 0)
        sent->id = id;
    if (sent->id != id)
        sent->bytes = SIZE_MAX;
    if (sent->bytes == SIZE_MAX)
        return;
    for (size_t i = 0; i < bytes.len; i++)
        must(bytes.at[i] == play_body[(sent->bytes + i) % PLAY_PATTERN]);
    sent->bytes += bytes.len;
}

static size_t play_least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void play_read(struct play_reader *reader, struct weir_slice bytes)
{
    while (bytes.len > 0) {
        size_t len = play_least(reader->skip, bytes.len);
        reader->skip -= len;
        bytes = slice_skip(bytes, len);
        if (reader->head_bytes < PLAY_FRAME_HEAD && bytes.len > 0) {
            reader->head[reader->head_bytes++] = (unsigned char)bytes.at[0];
            bytes = slice_skip(bytes, 1);
            reader->left = play_number(reader->head, 3);
            must(reader->left <= PLAY_FRAME_MAX || reader->head_bytes < 3);
        }
        if (reader->head_bytes < PLAY_FRAME_HEAD)
            continue;
        len = play_least(reader->left, bytes.len);
        must(reader->head[3] <= NGHTTP2_CONTINUATION);
        if (reader->head[3] == NGHTTP2_DATA)
            play_saw_body(reader, play_number(reader->head + 5, 4), slice_of(bytes.at, len));
        reader->left -= len;
        bytes = slice_skip(bytes, len);
        if (reader->left == 0)
            reader->head_bytes = 0;
    }
}

static void play_pack(struct play *play)
{
    must(!play->packing && !play->session.feeding);
    play->packing = true;
    h2_session_pack(&play->session);
    play->packing = false;
}

/* As h2_wire.c has it: it is written down at once. */
static void play_output(struct h2_session *session)
{
    play_pack(container_of(session, struct play, session));
}

/* What the writer does. */
static void play_take_out(struct play *play)
{
    struct iobuf *next;
    for (struct iobuf *buf = h2_session_take_out(&play->session); buf; buf = next) {
        next = buf->next;
        play_read(&play->reader, iobuf_slice(buf));
        iobuf_give(&play->loop->bufs, &buf);
    }
    play_pack(play);
}

/* --- What must hold -------------------------------------------------------------------------- */

static unsigned play_check_user(const struct play *play, const struct play_user *user)
{
    const struct h2_stream *stream = &user->stream;
    unsigned bufs = 0;
    size_t bytes = 0;
    for (const struct iobuf *buf = stream->body; buf; buf = buf->next, bufs++)
        bytes += buf->end - buf->start;
    must(bytes == stream->held_bytes && stream->lent_bytes <= bytes);
    must(!play->session.end || !stream->session || stream->closed);
    return bufs;
}

static void play_check(const struct play *play)
{
    const struct h2_session *session = &play->session;
    size_t held = 0, grown = 0;
    unsigned bufs = 0, streams = 0, out = 0;
    for (unsigned i = 0; i < PLAY_USERS; i++) {
        const struct play_user *user = play->users[i];
        if (!user)
            continue;
        bufs += play_check_user(play, user);
        if (!user->stream.session)
            continue;
        streams++;
        held += user->stream.held_bytes;
        grown += user->stream.window - user->stream.window_first;
    }
    list_each (link, &session->streams)
        streams--;
    must(streams == 0);
    must(held == session->held_bytes && grown == session->grown_bytes);
    must(grown <= session->grown_max);
    must(session->owed_bytes <= play->connection_window && session->owed_bytes <= held);
    must(held - session->owed_bytes <= session->hold_max);
    for (const struct iobuf *buf = session->out; buf; buf = buf->next, out++)
        must(buf->end > 0 && buf->end <= IOBUF_BYTES);
    must(out == session->out_count && out <= H2_OUT_BUFS);
    must(stat_read(&play->loop->bufs.used_count) == bufs + out);
    must(!session->failed || play->ended);
}

/* --- What comes ------------------------------------------------------------------------------ */

static void play_feed(struct play *play, struct weir_slice bytes)
{
    struct h2_session *session = &play->session;
    bool over = session->end != WEIR_OK;
    size_t held = session->held_bytes;
    uint64_t pings = session->pings_answered;
    char *copy = fuzz_copy(bytes);
    h2_session_feed(session, slice_of(copy, bytes.len));
    free(copy);
    must(!over || (session->held_bytes == held && session->pings_answered == pings));
    must(session->flood == H2_FLOOD_COUNT || session->end);
    play_check(play);
}

static void play_feed_cut(struct play *play, struct weir_slice bytes)
{
    while (bytes.len > 0) {
        size_t step = play_least(fuzz_step(bytes, 0), bytes.len);
        play_feed(play, slice_of(bytes.at, step));
        bytes = slice_skip(bytes, step);
    }
}

static size_t play_put_head(char *at, size_t length, unsigned type, unsigned flags, unsigned id)
{
    const char head[PLAY_FRAME_HEAD] = {(char)(length >> 16),
                                        (char)(length >> 8),
                                        (char)length,
                                        (char)type,
                                        (char)flags,
                                        0,
                                        0,
                                        0,
                                        (char)id};
    memcpy(at, head, sizeof head);
    return sizeof head;
}

static struct weir_slice play_frame(unsigned type, unsigned flags, unsigned id,
                                    struct weir_slice payload)
{
    size_t head = play_put_head(play_frames, payload.len, type, flags, id);
    if (payload.len > 0)
        memcpy(play_frames + head, payload.at, payload.len);
    return slice_of(play_frames, head + payload.len);
}

static struct weir_slice play_next_frame(struct play *play, size_t length_max)
{
    unsigned type = play_byte(play), flags = play_byte(play), id = play_byte(play);
    return play_frame(type, flags, id, play_bytes(play, play_byte(play) % (length_max + 1)));
}

static void play_one_frame(struct play *play)
{
    play_feed(play, play_next_frame(play, 255));
}

static void play_cut_frame(struct play *play)
{
    play_feed_cut(play, play_next_frame(play, 255));
}

static void play_raw(struct play *play)
{
    play_feed(play, play_bytes(play, play_byte(play)));
}

static void play_many_frames(struct play *play)
{
    size_t count = 1 + (size_t)play_byte(play) * PLAY_REPEATS;
    struct weir_slice frame = play_next_frame(play, PLAY_REPEATED_BYTES);
    for (size_t i = 1; i < count; i++)
        memcpy(play_frames + i * frame.len, frame.at, frame.len);
    play_feed(play, slice_of(play_frames, count * frame.len));
}

static void play_long_body(struct play *play)
{
    unsigned id = play_byte(play), flags = play_byte(play);
    size_t length = (size_t)play_byte(play) * 64;
    play_feed(play, play_frame(NGHTTP2_DATA, flags, id, slice_of(play_body, length)));
}

/* Blocks of fields, so that they need not be invented: RFC 7541. */
static const struct weir_slice play_blocks[] = {
    SLICE("\x82\x87\x84\x41\x01h"), /* GET / */
    SLICE("\x83\x87\x84\x41\x01h"), /* POST / */
    SLICE("\x83\x87\x84\x41\x01h\x0f\x0d\x01"
          "5"),                                   /* ... of 5 bytes */
    SLICE("\x82\x87\x84\x41\x01h\x00\x01X\x01y"), /* a name that must not be */
    SLICE("\x02\x07"
          "CONNECT\x41\x01h"),
    SLICE("\x88"), /* 200 */
    SLICE("\x88\x0f\x0d\x01"
          "5"), /* ... of 5 bytes */
    SLICE("\x08\x03"
          "103"),
    SLICE("\x08\x03"
          "100"),
    SLICE("\x8b"),             /* 304 */
    SLICE("\x00\x01x\x01y"),   /* trailers */
    SLICE("\x00\x03:no\x01y"), /* none */
};

static void play_head(struct play *play)
{
    unsigned id = play_byte(play), flags = play_byte(play);
    struct weir_slice block = play_blocks[play_byte(play) % COUNT_OF(play_blocks)];
    play_feed(play, play_frame(NGHTTP2_HEADERS, flags, id, block));
}

/* --- What the users do ----------------------------------------------------------------------- */

static struct play_user **play_place(struct play *play)
{
    return &play->users[play_byte(play) % PLAY_USERS];
}

/* NULL: no room. */
__attribute__((unused)) static struct play_user *play_new_user(struct play *play)
{
    for (unsigned i = 0; i < PLAY_USERS; i++) {
        if (play->users[i])
            continue;
        struct play_user *user = calloc(1, sizeof *user);
        must(user);
        arena_init(&user->arena, &play->loop->arenas, PLAY_ARENA_BYTES);
        h2_stream_init(&user->stream, &user->arena);
        play->users[i] = user;
        return user;
    }
    return NULL;
}

/* A head as a user has it, in memory that goes with him; nothing of it is copied. */
__attribute__((unused)) static struct h2_lines play_lines(struct play_user *user,
                                                          const nghttp2_nv *lines, size_t count)
{
    char *at = user->text;
    for (size_t i = 0; i < count; i++) {
        user->lines[i] = lines[i];
        user->lines[i].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
        if (at + lines[i].valuelen > user->text + sizeof user->text)
            continue;
        user->lines[i].value = memcpy(at, lines[i].value, lines[i].valuelen);
        at += lines[i].valuelen;
    }
    return (struct h2_lines){user->lines, count};
}

/* Nobody ends a stream while he sends on it. */
static void play_end_user(struct play *play, struct play_user **place, uint32_t code)
{
    struct play_user *user = *place;
    if (!user)
        return;
    if (user->sender)
        co_cancel(user->sender);
    sched_run(&play->loop->sched);
    must(!user->sender);
    h2_stream_end(&user->stream, code);
    h2_stream_end(&user->stream, code);
    must(!user->stream.session && !user->stream.body);
    arena_fini(&user->arena);
    free(user);
    *place = NULL;
}

static void play_ends(struct play *play)
{
    struct play_user **place = play_place(play);
    play_end_user(play, place, play_byte(play) % 16);
}

static void play_acts(struct play *play)
{
    struct play_user *user = *play_place(play);
    play_act(play, user, play_byte(play));
}

static void play_takes(struct play *play)
{
    struct play_user *user = *play_place(play);
    struct http_piece piece;
    if (!user || !user->asked)
        return;
    enum weir_err err = h2_stream_piece_now(&user->stream, &piece);
    must(!err || user->stream.closed);
    size_t bytes = 0;
    for (unsigned i = 0; !err && i < piece.count; i++) {
        must(piece.slices[i].len > 0);
        for (size_t at = 0; at < piece.slices[i].len; at++)
            play->seen ^= piece.slices[i].at[at];
        bytes += piece.slices[i].len;
    }
    must(err || bytes == piece.bytes);
    must(err || !piece.last || user->stream.received);
}

WEIR_SUSPENDS static void play_run_sender(void *argument)
{
    struct play_user *user = argument;
    enum weir_err err = h2_stream_send_piece(&user->stream, &user->piece, WEIR_NEVER);
    must(!user->stream.piece);
    user->all_given |= err != WEIR_OK;
    user->sender = NULL;
}

static void play_sends(struct play *play)
{
    struct play_user *user = *play_place(play);
    size_t bytes = play_byte(play) << 8;
    bytes |= play_byte(play);
    unsigned how = play_byte(play);
    if (!user || !user->answers || user->all_given || user->sender)
        return;
    if (how & 4)
        bytes = bytes < 65536 - 16 ? bytes + PLAY_PIECE_BYTES - 65536 : bytes;
    struct http_piece *piece = &user->piece;
    *piece = (struct http_piece){.last = how & 1, .bytes = bytes};
    if ((how & 3) == 3)
        piece->trailers = &play_trailers;
    for (size_t left = bytes, len; left > 0; left -= len) {
        len = piece->count + 1 == PLAY_USERS || left < 5 ? left : left - left / 3;
        piece->slices[piece->count++] = slice_of(play_body + user->body_bytes % PLAY_PATTERN, len);
        user->body_bytes += len;
    }
    user->all_given = piece->last;
    must(co_spawn(&play->loop->sched, NULL, "sender", play_run_sender, user, &user->sender) ==
         WEIR_OK);
}

/* --- The rest of the world ------------------------------------------------------------------- */

static void play_waits(struct play *play)
{
    struct sched *sched = &play->loop->sched;
    sched->now = weir_time_after(sched->now, weir_span_ms((int64_t)play_byte(play) * 100));
}

static void play_for_all(struct play *play)
{
    switch (play_byte(play) % 8) {
    case 0:
        h2_session_announce_end(&play->session);
        break;
    case 1:
        h2_session_refuse_more(&play->session);
        break;
    case 2:
        h2_session_terminate(&play->session, play_byte(play) % 16);
        break;
    case 3:
        play->ended = true;
        h2_session_ended(&play->session, WEIR_E_EOF);
        break;
    default:
        h2_session_ping(&play->session);
        break;
    }
}

static void (*const play_steps[])(struct play *play) = {
    play_one_frame, play_cut_frame, play_raw,    play_many_frames, play_long_body,
    play_head,      play_take_out,  play_takes,  play_sends,       play_acts,
    play_ends,      play_waits,     play_for_all};

static void play_fini(struct play *play, bool cut_off)
{
    for (unsigned i = 0; !cut_off && i < PLAY_USERS; i++)
        play_end_user(play, &play->users[i], NGHTTP2_NO_ERROR);
    play_check(play);
    h2_session_fini(&play->session, WEIR_E_EOF);
    for (unsigned i = 0; i < PLAY_USERS; i++)
        play_end_user(play, &play->users[i], NGHTTP2_NO_ERROR);
    must(stat_read(&play->loop->bufs.used_count) == 0);
    must(play->loop->arenas.used_count == 0);
}

/* The loop stands still, and is the same for all inputs. */
static struct loop *play_loop_here(void)
{
    if (!play_loop.ops) {
        const struct loop_options options = {.ops = &epoll_ops};
        must(loop_init(&play_loop, &options) == WEIR_OK);
        for (size_t i = 0; i < sizeof play_body; i++)
            play_body[i] = (char)(i % PLAY_PATTERN);
        fields_init(&play_trailers);
        must(fields_add(&play_trailers, SLICE("x-sum"), SLICE("of it")));
    }
    play_loop.sched.now = WEIR_TIME_INIT(INT64_C(1000000000000));
    return &play_loop;
}

/* Plays `script`; what the peer says first is `hello`, if the input does not do that itself. */
static void play(const struct h2_session_options *how, struct weir_slice script,
                 struct weir_slice hello)
{
    static const uint32_t windows[] = {65535, 100000, 1 << 18, 1 << 23};
    struct h2_session_options options = *how;
    the_play = (struct play){.loop = play_loop_here(), .script = script};
    unsigned byte = play_byte(&the_play);
    options.loop = the_play.loop;
    options.owner = &the_play;
    options.output = play_output;
    options.max_streams = PLAY_USERS - 2;
    options.stream_window = windows[byte & 3];
    options.connection_window = the_play.connection_window = windows[byte >> 2 & 3];
    if (how->side == H2_CLIENT)
        the_play.reader.skip = NGHTTP2_CLIENT_MAGIC_LEN;
    must(h2_session_init(&the_play.session, &options) == WEIR_OK);
    if (!(byte & 16))
        play_feed(&the_play, hello);
    while (the_play.script.len > 0) {
        unsigned step = play_byte(&the_play) % COUNT_OF(play_steps);
        play_steps[step](&the_play);
        sched_run(&the_play.loop->sched);
        play_check(&the_play);
    }
    play_fini(&the_play, byte & 32);
}

#endif
