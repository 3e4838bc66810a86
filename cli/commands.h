#pragma once

#include "cli/command_line.h"

namespace gossamer {

// One function a command, each in the file of its name. They return the exit code and throw gossamer::Error.
int simulate_command(const CommandLine& line);
int train_command(const CommandLine& line);
int server_command(const CommandLine& line);
int client_command(const CommandLine& line);
int evaluate_command(const CommandLine& line);
int pca_command(const CommandLine& line);
int account_command(const CommandLine& line);
int bench_command(const CommandLine& line);

}  // namespace gossamer
