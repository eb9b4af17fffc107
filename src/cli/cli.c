// SPDX-License-Identifier: MIT
//
// Finding the command, and the text of --help, which is made from the same tables that the command line is
// read with. The first word names a command ("stats") or a group ("runs"), whose second word names the
// command ("runs list").
#include "cli/cli.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/weir.h>

#include "cli/visible.h"

enum { quote_size = 128, help_column = 26, help_column_commands = 16, names_max = 32 };

static const weir__command *const commands[] = {
    &weir__command_run,
    &weir__command_runs_list,
    &weir__command_runs_show,
    &weir__command_runs_logs,
    &weir__command_runs_cancel,
    &weir__command_runs_delete,
    &weir__command_runs_cleanup,
    &weir__command_runs_repair,
    &weir__command_activity_buckets,
    &weir__command_activity_events,
    &weir__command_activity_create,
    &weir__command_activity_heartbeat,
    &weir__command_activity_insert,
    &weir__command_activity_delete,
    &weir__command_activity_export,
    &weir__command_activity_import,
    &weir__command_activity_settings,
    &weir__command_serve,
    &weir__command_stats,
    &weir__command_wal_info,
    &weir__command_wal_frames,
    &weir__command_wal_verify,
    &weir__command_bench_commit,
    &weir__command_bench_heartbeat,
    &weir__command_version,
};
enum { commands_count = sizeof commands / sizeof commands[0] };

typedef struct group {
    const char *name;
    const char *summary;
} group;

static const group groups[] = {
    {"runs", "look at recorded runs, follow, cancel and clean them up"},
    {"activity", "look into an ActivityWatch database, add to it, take it with you"},
    {"wal", "look into a write-ahead log, whichever program wrote it"},
    {"bench", "measure this machine's disk"},
};
enum { groups_count = sizeof groups / sizeof groups[0] };

// ----------------------------------------------------------------------------------------------- sentences

static void add_sentence(weir__cli *cli, const char *sentence)
{
    weir__screen_styled(&cli->err, WEIR__STYLE_BAD, "weir:");
    weir__screen_add(&cli->err, " ");
    weir__screen_visible(&cli->err, sentence, WEIR__COLUMNS_ALL);
    weir__screen_add(&cli->err, "\n");
}

int weir__cli_failed(weir__cli *cli, const weir_error *err)
{
    (void)weir__screen_flush(&cli->out, NULL);
    add_sentence(cli, err->text[0] != '\0' ? err->text : weir_code_name(err->code));
    static const char no_memory[] = "weir: not enough memory\n";
    if (weir__screen_flush(&cli->err, NULL) == WEIR_NOMEM)
        (void)!write(STDERR_FILENO, no_memory, sizeof no_memory - 1);
    return WEIR__EXIT_FAILED;
}

// `name` is that of a command or group; "" for weir itself.
static int usage(weir__cli *cli, const char *name, const weir_error *err)
{
    (void)weir__cli_failed(cli, err);
    weir__screen_printf(&cli->err, "Try \"weir %s%s--help\".\n", name, name[0] != '\0' ? " " : "");
    (void)weir__screen_flush(&cli->err, NULL);
    return WEIR__EXIT_USAGE;
}

int weir__cli_usage(weir__cli *cli, const weir__command *command, const weir_error *err)
{
    return usage(cli, command->name, err);
}

const char *weir__cli_storage(const char *given)
{
    const char *const from_environment = getenv("STEPFLOW_STORAGE_PATH");
    if (given != NULL)
        return given;
    return from_environment != NULL && from_environment[0] != '\0' ? from_environment : "storage";
}

// ---------------------------------------------------------------------------------------------------- help

static void help_heading(weir__screen *out, const char *heading)
{
    weir__screen_add(out, "\n");
    weir__screen_styled(out, WEIR__STYLE_BOLD, "%s:", heading);
    weir__screen_add(out, "\n");
}

// Lines of text, each behind a margin.
static void help_lines(weir__screen *out, const char *lines, int margin)
{
    while (*lines != '\0') {
        const size_t size = strcspn(lines, "\n");
        weir__screen_printf(out, "%*s%.*s\n", size > 0 ? margin : 0, "", (int)size, lines);
        lines += size + (lines[size] == '\n');
    }
}

// "  -f, --follow           text", the text's further lines below its first.
static void help_option(weir__screen *out, const weir__option *option)
{
    weir__text left = {0};
    if (option->letter != 0)
        weir__text_printf(&left, "  -%c, --%s", option->letter, option->name);
    else
        weir__text_printf(&left, "      --%s", option->name);
    if (option->value != NULL)
        weir__text_printf(&left, " %s", option->value);
    const size_t first = strcspn(option->help, "\n");
    if (left.size + 2 <= help_column)
        weir__screen_printf(out, "%-*s", help_column, weir__text_string(&left));
    else
        weir__screen_printf(out, "%s\n%*s", weir__text_string(&left), help_column, "");
    weir__screen_printf(out, "%.*s\n", (int)first, option->help);
    if (option->help[first] == '\n')
        help_lines(out, option->help + first + 1, help_column);
    weir__text_free(&left);
}

static void help_options(weir__screen *out, weir__options options)
{
    for (size_t i = 0; i < options.count; i++)
        help_option(out, &options.items[i]);
}

// A summary, which is written to stand in a list, as a sentence.
static void help_sentence(weir__screen *out, const char *summary)
{
    weir__screen_printf(out, "%c%s.\n", toupper((unsigned char)summary[0]), summary + 1);
}

static void help_command(weir__screen *out, const weir__command *command)
{
    weir__screen_styled(out, WEIR__STYLE_BOLD, "Usage:");
    weir__screen_printf(out, " weir %s [OPTIONS]%s%s\n\n", command->name,
                        command->operands[0] != '\0' ? " " : "", command->operands);
    help_sentence(out, command->summary);
    if (command->about != NULL) {
        weir__screen_add(out, "\n");
        help_lines(out, command->about, 0);
    }
    help_heading(out, "Options");
    help_options(out, command->options);
    help_options(out, weir__common_options);
    help_heading(out, "Exit status");
    help_lines(out,
               command->statuses_all != NULL
                   ? command->statuses_all
                   : "0     fine\n1     failed; a sentence on stderr says why\n2     a wrong command line",
               2);
    if (command->statuses != NULL)
        help_lines(out, command->statuses, 2);
    help_heading(out, "Examples");
    help_lines(out, command->examples, 2);
}

// The word of `name` behind the group's; NULL when it is not in that group. A group "" has the first words.
static const char *name_in_group(const char *name, const char *group_name)
{
    const size_t size = strlen(group_name);
    if (size == 0)
        return strchr(name, ' ') == NULL ? name : NULL;
    return strncmp(name, group_name, size) == 0 && name[size] == ' ' ? name + size + 1 : NULL;
}

static void help_commands(weir__screen *out, const char *group_name)
{
    help_heading(out, "Commands");
    for (size_t i = 0; i < commands_count; i++) {
        const char *const name = name_in_group(commands[i]->name, group_name);
        if (name != NULL)
            weir__screen_printf(out, "  %-*s%s\n", help_column_commands, name, commands[i]->summary);
        for (size_t g = 0; name == NULL && group_name[0] == '\0' && g < groups_count; g++) {
            // A group stands where its first command stands.
            if (name_in_group(commands[i]->name, groups[g].name) != NULL &&
                (i == 0 || name_in_group(commands[i - 1]->name, groups[g].name) == NULL))
                weir__screen_printf(out, "  %-*s%s\n", help_column_commands, groups[g].name,
                                    groups[g].summary);
        }
    }
}

static void help_group(weir__screen *out, const group *found)
{
    weir__screen_styled(out, WEIR__STYLE_BOLD, "Usage:");
    weir__screen_printf(out, " weir %s COMMAND [OPTIONS]\n\n", found->name);
    help_sentence(out, found->summary);
    help_commands(out, found->name);
    help_heading(out, "Options");
    help_options(out, weir__common_options);
}

static void help_weir(weir__screen *out)
{
    weir__screen_styled(out, WEIR__STYLE_BOLD, "Usage:");
    weir__screen_add(out,
                     " weir COMMAND [OPTIONS]\n\n"
                     "Weir runs SQLite in WAL mode the way it should be run, and records what scripts do.\n");
    help_commands(out, "");
    weir__screen_printf(out, "  %-*s%s\n", help_column_commands, "help",
                        "the help of a command: weir help runs list");
    help_heading(out, "Options");
    help_options(out, weir__common_options);
    weir__screen_printf(out, "  %-*s%s\n", help_column - 2, "    --version", "the same as weir version");
    help_heading(out, "Exit status");
    help_lines(out,
               "0     fine\n1     failed; a sentence on stderr says why\n2     a wrong command line\n"
               "other the status of the script, for weir run: see weir run --help",
               2);
    help_heading(out, "Examples");
    help_lines(out,
               "weir run -- ./deploy.sh          run a script and record its steps\n"
               "weir runs list                   what ran, and how it ended\n"
               "weir runs logs -f 3f2a           follow a run that another process started\n"
               "weir serve                       the same over HTTP, on 127.0.0.1:9347\n"
               "weir activity buckets            what ActivityWatch recorded\n"
               "weir wal verify app.db           is a write-ahead log whole, and what is lost if not\n"
               "weir stats app.db                look at any WAL database without changing it",
               2);
}

// -------------------------------------------------------------------------------------------- finding it

static const group *find_group(const char *word)
{
    for (size_t i = 0; i < groups_count; i++) {
        if (strcmp(groups[i].name, word) == 0)
            return &groups[i];
    }
    return NULL;
}

static const weir__command *find_command(const char *group_name, const char *word)
{
    for (size_t i = 0; i < commands_count; i++) {
        const char *const name = name_in_group(commands[i]->name, group_name);
        if (name != NULL && strcmp(name, word) == 0)
            return commands[i];
    }
    return NULL;
}

// `word` is no command of the group.
static int unknown_command(weir__cli *cli, const char *group_name, const char *word)
{
    const char *names[names_max] = {"help"};
    size_t count = group_name[0] == '\0' ? 1 : 0;
    for (size_t i = 0; i < commands_count && count + 1 < names_max; i++) {
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it takes the address of an object for NULL
        const char *const name = name_in_group(commands[i]->name, group_name);
        if (name != NULL)
            names[count++] = name;
    }
    for (size_t i = 0; group_name[0] == '\0' && i < groups_count; i++)
        names[count++] = groups[i].name;
    names[count] = NULL;
    char quoted[quote_size];
    weir_error err = WEIR_ERROR_INIT;
    const char *const nearest = weir__args_nearest(word, names);
    const char *const space = group_name[0] != '\0' ? " " : "";
    weir__visible_quote(word, quoted, sizeof quoted);
    if (nearest != NULL)
        weir__error_set(&err, WEIR_INVALID, "unknown command \"%s%s%s\"; did you mean \"%s%s%s\"?",
                        group_name, space, quoted, group_name, space, nearest);
    else
        weir__error_set(&err, WEIR_INVALID, "unknown command \"%s%s%s\"", group_name, space, quoted);
    return usage(cli, group_name, &err);
}

static int finish_help(weir__cli *cli)
{
    weir_error err = WEIR_ERROR_INIT;
    return weir__screen_flush(&cli->out, &err) == WEIR_OK ? WEIR__EXIT_FINE : weir__cli_failed(cli, &err);
}

// `argv` begins with a place for the program's name.
static int run_raw(const weir__command *command, int argc, char **argv)
{
    char name[64];
    snprintf(name, sizeof name, "weir %s", command->name);
    argv[0] = name;
    return command->raw(argc + 1, argv);
}

// weir help [COMMAND [COMMAND]]
static int help(weir__cli *cli, int argc, char **argv)
{
    const group *const found = argc > 0 ? find_group(argv[0]) : NULL;
    const char *const group_name = found != NULL ? found->name : "";
    const int at = found != NULL ? 1 : 0;
    static char help_option_text[] = "--help";
    if (argc == 0) {
        help_weir(&cli->out);
    } else if (found != NULL && argc == 1) {
        help_group(&cli->out, found);
    } else {
        const weir__command *const command = find_command(group_name, argv[at]);
        if (command == NULL)
            return unknown_command(cli, group_name, argv[at]);
        if (command->raw != NULL)
            return run_raw(command, 1, (char *[]){NULL, help_option_text, NULL});
        help_command(&cli->out, command);
    }
    return finish_help(cli);
}

// ------------------------------------------------------------------------------------------------ running it

static void use_colour(weir__cli *cli, int when)
{
    weir__screen_fini(&cli->out);
    weir__screen_fini(&cli->err);
    weir__screen_init(&cli->out, STDOUT_FILENO, (weir__colour_when)when);
    weir__screen_init(&cli->err, STDERR_FILENO, (weir__colour_when)when);
}

static int check_operands(const weir__command *command, const weir__operands *operands, weir_error *err)
{
    char quoted[quote_size];
    if (operands->count < command->operands_min) {
        const char *missing = command->operands; // "BUCKET FILE", a word for each that is needed
        for (int i = 0; i < operands->count; i++)
            missing += strcspn(missing, " ") + 1;
        return weir__error_set(err, WEIR_INVALID, "%s is missing", missing);
    }
    if (operands->count > command->operands_max)
        return weir__error_set(
            err, WEIR_INVALID, "\"%s\" is one argument too many",
            weir__visible_quote(operands->items[command->operands_max], quoted, sizeof quoted));
    return WEIR_OK;
}

static int run_command(weir__cli *cli, const weir__command *command, weir__common *common, int argc,
                       char **argv)
{
    weir_error err = WEIR_ERROR_INIT;
    weir__operands operands;
    void *const values = malloc(command->values_size);
    if (values == NULL) {
        weir__error_set(&err, WEIR_NOMEM, "not enough memory");
        return weir__cli_failed(cli, &err);
    }
    memcpy(values, command->defaults, command->values_size);
    int status = WEIR__EXIT_USAGE;
    int code = weir__args_parse(command->options, command->rest_is_foreign, argc, argv, values, common,
                                &operands, &err);
    use_colour(cli, common->color);
    if (code == WEIR_OK && common->help) {
        help_command(&cli->out, command);
        status = finish_help(cli);
    } else if (code != WEIR_OK || check_operands(command, &operands, &err) != WEIR_OK) {
        status = weir__cli_usage(cli, command, &err);
    } else {
        status = command->run(cli, command, values, &operands);
        if (weir__screen_flush(&cli->out, &err) != WEIR_OK && status == WEIR__EXIT_FINE)
            status = weir__cli_failed(cli, &err);
    }
    free(values);
    return status;
}

// The words of the command line down to the command: `group_name` is "" and then, perhaps, a group's.
static int dispatch(weir__cli *cli, const char *group_name, weir__common *common, int argc, char **argv)
{
    weir_error err = WEIR_ERROR_INIT;
    weir__operands operands;
    const bool top = group_name[0] == '\0';
    if (top && argc > 0 && strcmp(argv[0], "--version") == 0)
        return run_command(cli, &weir__command_version, common, argc - 1, argv + 1);
    const int code = weir__args_parse((weir__options){0}, true, argc, argv, NULL, common, &operands, &err);
    use_colour(cli, common->color);
    if (code != WEIR_OK)
        return usage(cli, group_name, &err);
    if (operands.count == 0 && common->help)
        return top ? help(cli, 0, NULL) : help(cli, 1, (char *[]){(char *)(uintptr_t)group_name, NULL});
    if (operands.count == 0) {
        weir__error_set(&err, WEIR_INVALID, "a command is missing%s%s", top ? "" : " after ", group_name);
        return usage(cli, group_name, &err);
    }
    char *const word = operands.items[0];
    if (top && strcmp(word, "help") == 0)
        return help(cli, operands.count - 1, operands.items + 1);
    const group *const found = top ? find_group(word) : NULL;
    if (found != NULL)
        return dispatch(cli, found->name, common, operands.count - 1, operands.items + 1);
    const weir__command *const command = find_command(group_name, word);
    if (command == NULL)
        return unknown_command(cli, group_name, word);
    if (command->raw != NULL)
        return run_raw(command, operands.count - 1, operands.items);
    return run_command(cli, command, common, operands.count - 1, operands.items + 1);
}

// A closed descriptor 0, 1 or 2 would be given to the next file that is opened, a database perhaps.
static void occupy_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)open("/dev/null", O_RDWR); // cppcheck-suppress leakReturnValNotUsed
    }
}

int weir__cli_main(int argc, char **argv)
{
    weir__cli cli = {0};
    weir__common common = {.color = WEIR__COLOUR_AUTO};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    occupy_standard_descriptors();
    (void)sigaction(SIGPIPE, &ignore, NULL);
    (void)sigaction(SIGXFSZ, &ignore, NULL); // a file as large as `ulimit -f` allows is an error, not the end
    use_colour(&cli, common.color);
    const int status = dispatch(&cli, "", &common, argc > 0 ? argc - 1 : 0, argc > 0 ? argv + 1 : argv);
    weir__screen_fini(&cli.out);
    weir__screen_fini(&cli.err);
    return status;
}
