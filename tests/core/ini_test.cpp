#include "core/ini.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/core/temporary_folder.h"

namespace gossamer {
namespace {

std::string read(const std::string& text) {
  std::string result;
  for (const IniEntry& entry : parse_ini(text, "a.ini")) {
    result += std::to_string(entry.line) + ":" + entry.key + "=" + entry.value + "|";
  }
  return result;
}

std::string refusal(const std::string& text) {
  return message_of<ConfigError>([&] { parse_ini(text, "a.ini"); });
}

TEST(Ini, ReadsSectionsKeysAndComments) {
  EXPECT_EQ(read("# head\n[run]\nname = a b\n\n; more\n [client] \n  lr=0.1  # rate\nid = 3 ; number"),
            "3:run.name=a b|7:client.lr=0.1|8:client.id=3|");
  EXPECT_EQ(read(""), "");
  EXPECT_EQ(read("run.name = x\n[algorithm]\nfedprox.mu = 1\n"), "1:run.name=x|3:algorithm.fedprox.mu=1|");
}

TEST(Ini, ValuesKeepWhatLooksLikeSyntax) {
  EXPECT_EQ(read("[s]\na = x=y\nb = tcp://h:1/#2\nc = \" # kept; \"\nd =\ne = [x]\n"),
            "2:s.a=x=y|3:s.b=tcp://h:1/#2|4:s.c= # kept; |5:s.d=|6:s.e=[x]|");
}

TEST(Ini, WhatIsWrittenReadsBack) {
  for (const std::string value : {"",         "plain",   "two words", "tcp://h:1/#2",  "a # b",
                                  "a ; b",    "#b",      ";",         " a ",           "\ta",
                                  "\"",       "\"\"",    "\"\"\"",    "\"a\"",         "5\" disk",
                                  "a \" # b", "a # \"b", "\"a\" # b", "a\" # b\" # c", "\"a\"\"b\" # c ; \"",
                                  "a=b",      "[x]"}) {
    EXPECT_EQ(read("[s]\na = " + ini_value(value) + "\n"), "2:s.a=" + value + "|") << ini_value(value);
  }
  EXPECT_EQ(ini_value("tcp://h:1/#2"), "tcp://h:1/#2");  // quotes only where they are needed
}

TEST(Ini, TakesForeignLineEndsAndAByteOrderMark) {
  EXPECT_EQ(read("\xEF\xBB\xBF[s]\r\na = 1\r\n"), "2:s.a=1|");
}

TEST(Ini, FaultsNameFileLineAndWhatIsExpected) {
  EXPECT_EQ(refusal("[run]\nname\n"), "a.ini:2: name: expected key = value, or a section like [client]");
  EXPECT_EQ(refusal("= 3\n"), "a.ini:1: = 3: expected key = value, or a section like [client]");
  EXPECT_EQ(refusal("two words = 3\n"),
            "a.ini:1: two words = 3: expected key = value, or a section like [client]");
  EXPECT_EQ(refusal("[run\n"), "a.ini:1: [run: expected a section like [client]");
  EXPECT_EQ(refusal("["), "a.ini:1: [: expected a section like [client]");
  EXPECT_EQ(refusal("[]\n"), "a.ini:1: []: expected a section like [client]");
  EXPECT_EQ(refusal("[run]\nname = a\n\n[run]\nname = b\n"),
            "a.ini:5: run.name = b: the key stands already in line 2");
}

}  // namespace
}  // namespace gossamer
