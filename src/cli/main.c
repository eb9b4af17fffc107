// SPDX-License-Identifier: MIT
//
// Where the weir command begins. Everything is in cli.c, so that tests can link it.
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return weir__cli_main(argc, argv);
}
