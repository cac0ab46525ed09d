#include "microfloors.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>
#include <strings.h>

// Makes the compiler believe that memory is used and changed here, so that no round is left out.
#define BARRIER(pointer) __asm__ volatile("" : : "r"(pointer) : "memory")

static void unmask(uint8_t *bytes, size_t count, uint32_t key) {
  uint64_t pattern = (uint64_t)key << 32 | key, word;
  size_t words = count / 8;
  // In this form the compiler makes vectors of it.
  for (size_t i = 0; i < words; i++) {
    memcpy(&word, bytes + 8 * i, 8);
    word ^= pattern;
    memcpy(bytes + 8 * i, &word, 8);
  }
  for (size_t i = 8 * words; i < count; i++) bytes[i] ^= (uint8_t)(key >> 8 * (i & 3));
}

void floor_unmask(uint8_t *bytes, size_t count, uint32_t key, long times) {
  while (times-- > 0) {
    unmask(bytes, count, key);
    BARRIER(bytes);
  }
}

/// Bytes of the header without the key; the payload's length in `length`.
static size_t header(const uint8_t *frame, size_t *length) {
  *length = frame[1] & 0x7F;
  if (*length < 126) return 2;
  if (*length == 126) {
    *length = (size_t)frame[2] << 8 | frame[3];
    return 4;
  }
  *length = 0;
  for (int i = 0; i < 8; i++) *length = *length << 8 | frame[2 + i];
  return 10;
}

uint64_t floor_decode(uint8_t *frame, size_t count, long times) {
  uint64_t sum = 0;
  while (times-- > 0) {
    size_t length, size = header(frame, &length);
    if (size + 4 + length > count) return 0;
    uint32_t key;
    memcpy(&key, frame + size, 4);
    unmask(frame + size + 4, length, key);
    sum += length + (frame[0] & 0x0F);
    BARRIER(frame);
  }
  return sum;
}

uint64_t floor_decode_ascii(uint8_t *frame, size_t count, long times) {
  uint64_t sum = 0;
  while (times-- > 0) {
    size_t length, size = header(frame, &length);
    if (size + 4 + length > count) return 0;
    uint32_t key;
    memcpy(&key, frame + size, 4);
    uint8_t *payload = frame + size + 4;
    unmask(payload, length, key);
    uint64_t high = 0, word;
    size_t words = length / 8;
    for (size_t i = 0; i < words; i++) {
      memcpy(&word, payload + 8 * i, 8);
      high |= word;
    }
    for (size_t i = 8 * words; i < length; i++) high |= payload[i];
    sum += length + (high & 0x8080808080808080);
    BARRIER(frame);
  }
  return sum;
}

/// Bytes of the scalar at the front of a text that is not ASCII there, 0 if it is none.
static size_t scalar(const uint8_t *text, size_t count) {
  uint8_t lead = text[0], low = 0x80, high = 0xBF;
  size_t length = lead >= 0xC2 && lead <= 0xDF ? 2 : (lead & 0xF0) == 0xE0 ? 3 : lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
  if (length == 0 || length > count) return 0;
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  if (text[1] < low || text[1] > high) return 0;
  for (size_t i = 2; i < length; i++) {
    if ((text[i] & 0xC0) != 0x80) return 0;
  }
  return length;
}

static int is_utf8(const uint8_t *text, size_t count) {
  size_t i = 0;
  while (i < count) {
    if (text[i] < 0x80) {
      i++;
      continue;
    }
    size_t length = scalar(text + i, count - i);
    if (length == 0) return 0;
    i += length;
  }
  return 1;
}

int floor_utf8(const uint8_t *text, size_t count, long times) {
  int valid = 1;
  while (times-- > 0) {
    valid &= is_utf8(text, count);
    BARRIER(text);
  }
  return valid;
}

uint64_t floor_encode(uint8_t *room, const uint8_t *payload, size_t count, long times) {
  uint64_t sum = 0;
  while (times-- > 0) {
    size_t size = 2;
    room[0] = 0x81;
    if (count < 126) {
      room[1] = (uint8_t)count;
    } else if (count <= 0xFFFF) {
      room[1] = 126;
      room[2] = (uint8_t)(count >> 8);
      room[3] = (uint8_t)count;
      size = 4;
    } else {
      room[1] = 127;
      for (int i = 0; i < 8; i++) room[2 + i] = (uint8_t)(count >> (56 - 8 * i));
      size = 10;
    }
    memcpy(room + size, payload, count);
    sum += size + count;
    BARRIER(room);
  }
  return sum;
}

uint64_t floor_json(const uint8_t *text, size_t count, long times) {
  uint64_t sum = 0;
  while (times-- > 0) {
    int depth = 0, in_string = 0;
    for (size_t i = 0; i < count; i++) {
      uint8_t byte = text[i];
      if (in_string) {
        if (byte == '\\') {
          i++;
        } else if (byte == '"') {
          in_string = 0;
          sum++;
        }
      } else if (byte == '"') {
        in_string = 1;
      } else if (byte == '{' || byte == '[') {
        depth++;
      } else if (byte == '}' || byte == ']') {
        depth--;
      }
    }
    sum += (uint64_t)depth;
    BARRIER(text);
  }
  return sum;
}

uint64_t floor_handshake(const uint8_t *request, size_t count, uint8_t *room, long times) {
  static const char name[] = "\r\nSec-WebSocket-Key: ";
  static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  static const char answer[] =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
  uint64_t sum = 0;
  while (times-- > 0) {
    size_t at = 0;
    while (at + sizeof name + 24 < count && memcmp(request + at, name, sizeof name - 1) != 0) at++;
    if (at + sizeof name + 24 >= count) return 0;
    uint8_t joined[60], digest[20], accept[32];
    memcpy(joined, request + at + sizeof name - 1, 24);
    memcpy(joined + 24, guid, 36);
    SHA1(joined, sizeof joined, digest);
    EVP_EncodeBlock(accept, digest, sizeof digest);
    memcpy(room, answer, sizeof answer - 1);
    memcpy(room + sizeof answer - 1, accept, 28);
    memcpy(room + sizeof answer - 1 + 28, "\r\n\r\n", 4);
    sum += room[sizeof answer];
    BARRIER(room);
  }
  return sum;
}
