/* SPDX-License-Identifier: MIT */
#ifndef BASE_POISON_H
#define BASE_POISON_H

/* Tells AddressSanitizer which memory of our own allocators may be touched. Nothing otherwise. */

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define WEIR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEIR_ASAN 1
#endif
#endif

#ifdef WEIR_ASAN
#include <sanitizer/asan_interface.h>
#define poison(at, bytes) ASAN_POISON_MEMORY_REGION(at, bytes)
#define unpoison(at, bytes) ASAN_UNPOISON_MEMORY_REGION(at, bytes)
#else
#define poison(at, bytes) ((void)(at), (void)(bytes))
#define unpoison(at, bytes) ((void)(at), (void)(bytes))
#endif

#endif
