#!/usr/bin/python3
"""Runs a program as a container's runtime would: in a root of its own that cannot be written to, as a user without rights,
behind a filter of system calls.

    confined.py --root DIRECTORY --profile FILE PROGRAM…     what the profile allows, as Docker and Kubernetes read it
    confined.py --root DIRECTORY --forbid A,B PROGRAM…       everything but these, which fail as by an engine's own profile

To be started in a mount namespace of its own, as root. The process stays the same one, so that its id is the program's.
"""

import argparse
import errno
import json
import os
import subprocess

import seccomp

USER = 65532
OPERATORS = {"SCMP_CMP_EQ": seccomp.EQ, "SCMP_CMP_MASKED_EQ": seccomp.MASKED_EQ}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--profile")
    how.add_argument("--forbid", type=lambda names: names.split(","))
    parser.add_argument("program", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    rules = of_profile(options.profile) if options.profile else all_but(options.forbid)
    for mount in (["--bind"], ["-o", "remount,bind,ro"]):
        subprocess.run(["mount", *mount, options.root, options.root], check=True)
    os.chroot(options.root)
    os.chdir("/")
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    # Sets no_new_privs too.
    rules.load()
    os.execv(options.program[0], options.program)


def all_but(names):
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    for name in names:
        rules.add_rule(seccomp.ERRNO(errno.EPERM), name)
    return rules


def of_profile(path):
    with open(path) as file:
        profile = json.load(file)
    rules = seccomp.SyscallFilter(action(profile["defaultAction"], profile["defaultErrnoRet"]))
    for rule in profile["syscalls"]:
        for name in rule["names"]:
            rules.add_rule(action(rule["action"], rule.get("errnoRet")), name, *map(argument, rule.get("args", [])))
    return rules


def action(name, number):
    return {"SCMP_ACT_ALLOW": lambda: seccomp.ALLOW, "SCMP_ACT_ERRNO": lambda: seccomp.ERRNO(number)}[name]()


def argument(rule):
    more = (rule["valueTwo"],) if rule["op"] == "SCMP_CMP_MASKED_EQ" else ()
    return seccomp.Arg(rule["index"], OPERATORS[rule["op"]], rule["value"], *more)


if __name__ == "__main__":
    main()
