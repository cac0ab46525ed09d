#pragma once

// The least C for the work that each micro benchmark measures. Each does its work `times` times, over the
// same bytes; what they return keeps the compiler from leaving the work out.

#include <stddef.h>
#include <stdint.h>

/// Combines the bytes with the key, by words.
void floor_unmask(uint8_t *bytes, size_t count, uint32_t key, long times);

/// Reads the header of a masked frame in one chunk, and unmasks the payload in place.
uint64_t floor_decode(uint8_t *frame, size_t count, long times);

/// The same for a text: every byte behind the header is tested for ASCII too.
uint64_t floor_decode_ascii(uint8_t *frame, size_t count, long times);

/// Checks text with the table of RFC 3629, a scalar at a time. 1: it is UTF-8.
int floor_utf8(const uint8_t *text, size_t count, long times);

/// Writes a server's frame: header and payload.
uint64_t floor_encode(uint8_t *room, const uint8_t *payload, size_t count, long times);

/// Looks at every byte once, as the least reader of JSON must: finds the ends of strings, counts brackets.
uint64_t floor_json(const uint8_t *text, size_t count, long times);

/// Finds the key in an upgrade request, hashes it (SHA-1, base64), writes the answer.
uint64_t floor_handshake(const uint8_t *request, size_t count, uint8_t *room, long times);

/// One table, one upsert a chat and batch, WAL and FULL: the floor of a store. NULL: it cannot be opened.
struct floor_store;
struct floor_store *floor_store_open(const char *path);
/// Commits `records` rows of `size` bytes, spread over `chats` heads, in one transaction.
void floor_store_commit(struct floor_store *store, int records, int chats, const uint8_t *value, int size);
void floor_store_close(struct floor_store *store);
