/* unit-test.h: what cmocka wants included before it. */
#ifndef LARDER_UNIT_TEST_H
#define LARDER_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
