/* SPDX-License-Identifier: MIT */
#include <weir/main.h>

int main(int argc, char **argv)
{
    return weir_main(argc, argv);
}
