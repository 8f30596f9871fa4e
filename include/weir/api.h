/* SPDX-License-Identifier: MIT */
#ifndef WEIR_API_H
#define WEIR_API_H

/* In front of what the library exports; everything else of it is hidden. */
#if defined(__GNUC__)
#define WEIR_API __attribute__((visibility("default")))
#else
#define WEIR_API
#endif

#ifdef __cplusplus
#define WEIR_BEGIN extern "C" {
#define WEIR_END }
#else
#define WEIR_BEGIN
#define WEIR_END
#endif

#endif
