/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SUSPENDS_H
#define WEIR_SUSPENDS_H

/*
 * Written in front of each prototype that may suspend the calling coroutine. After such a call look
 * again: others ran meanwhile. A test over the call graph (tests/tidy/suspends.py) fails when an
 * unmarked function reaches a marked one.
 */
#define WEIR_SUSPENDS

#endif
