/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target over the files of the folder that is given: the corpus, in every build. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>

enum { FILE_BYTES_MAX = 256 * 1024, PREFIX_BYTES_MAX = 2048 };

static void run_file(const char *folder, const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(FILE_BYTES_MAX);
    must(file && bytes);
    size_t size = fread(bytes, 1, FILE_BYTES_MAX, file);
    fclose(file);
    printf("# %s\n", name); /* before it runs: a crash then tells which */
    fflush(stdout);
    LLVMFuzzerTestOneInput(bytes, size);
    /* every prefix too: heads and bodies that stop anywhere */
    for (size_t length = 0; length < size && length <= PREFIX_BYTES_MAX; length++)
        LLVMFuzzerTestOneInput(bytes, length);
    free(bytes);
}

int main(int argc, char **argv)
{
    must(argc == 2);
    DIR *folder = opendir(argv[1]);
    unsigned count = 0;
    must(folder);
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        if (entry->d_name[0] == '.')
            continue;
        run_file(argv[1], entry->d_name);
        count++;
    }
    closedir(folder);
    printf("%s 1 - %u inputs\n1..1\n", count > 0 ? "ok" : "not ok", count);
    return count == 0;
}
