#pragma once

#include "cli/command_line.h"

namespace gossamer {

// `gossamer bench privacy`: noise beside the drawing of its random bytes. Returns the exit code.
int bench_privacy(const CommandLine& line);

}  // namespace gossamer
