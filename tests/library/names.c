/* SPDX-License-Identifier: MIT */
/* A program whose own functions are called as some inside weir are: each keeps its own. */
#include <weir/weir.h>

#include <stdio.h>
#include <string.h>

int serve(void);
int dial(void);
int loop_init(void);
int relay_tunnel(void);
int log_line(void);

int serve(void)
{
    return 1;
}

int dial(void)
{
    return 2;
}

int loop_init(void)
{
    return 4;
}

int relay_tunnel(void)
{
    return 8;
}

int log_line(void)
{
    return 16;
}

int main(void)
{
    int sum = serve() + dial() + loop_init() + relay_tunnel() + log_line();
    if (sum != 31 || strcmp(weir_err_name(WEIR_E_REFUSED), "connection_refused") != 0)
        return 1;
    puts("names: each its own");
    return 0;
}
