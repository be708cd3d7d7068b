package main

import (
	"bytes"
	"strconv"
	"strings"
)

// dialect is how one kind of shell is started and spoken to.
type dialect struct {
	program          string
	argv             []string
	statusDescriptor int
	memoryDescriptor int
	// piped is a script that runs the command, by way of the pipe; stored one that takes it from the memory file.
	piped  func(command string, number int) string
	stored func(newlines, number int) string // nil: there is no memory file
	// It reads its stdin in blocks: that it has read a text does not mean that it has come to it.
	readsAhead bool
	saysWell   bool // after its status it says `bashWell`
}

var dialects = []dialect{
	{
		program: "/bin/bash", argv: []string{"/bin/bash", "--noprofile", "--norc"}, statusDescriptor: 201, memoryDescriptor: 202,
		piped: func(command string, number int) string {
			return `\builtin eval ` + quote(command) + bashTail(number)
		},
		// An element of an array: it is not exported, whatever the shell's options.
		stored: func(newlines, number int) string {
			return `IFS= \builtin read -r -d '' -u 202 'GLOVEBOX_COMMAND[0]' && \builtin eval "${GLOVEBOX_COMMAND[0]}"` +
				bashTail(number) + strings.Repeat("\n", newlines)
		},
		saysWell: true,
	},
	{
		program: "/bin/sh", argv: []string{"/bin/sh"}, statusDescriptor: 8,
		piped: func(command string, number int) string {
			return plainUnmask + `\command eval ` + quote(command) + plainTail(number)
		},
		readsAhead: true,
	},
}

func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

const (
	// A path below what is no directory; the status stands behind it.
	statusMark = "/dev/null/"
	bashWell   = ".\n"
	// In POSIX mode, and only there, no function stands before `unset`. It changes two options, so it is done only where needed.
	bashUnmask = `POSIXLY_CORRECT=; \unset -f builtin; \unset -v POSIXLY_CORRECT; `
	// `eval` alone, as a special built-in, would take the shell along when it cannot parse. Only functions stand before `command`.
	plainUnmask = `\unset -f command; `
)

// bashTail follows the evaluation of a command. The status leaves in the message of a redirection that must fail: no word of it
// is looked up, so no function, alias or trap of the agent stands in its way. As a condition it neither ends a `set -e` shell
// nor calls an ERR trap. What follows it tells whether `builtin` is still the shell's own. The lines are as many as the official
// worker's, so that error texts count the same.
func bashTail(number int) string {
	return ` </dev/null 201>&- 202<&-; if [[ 1 ]] 2>&201 <` + statusMark + `"$?":` + strconv.Itoa(number) +
		`; then ((1)); fi; if { \builtin echo .; } >&201 2>&201; then ((1)); fi` + "\n\n"
}

// plainTail is bashTail in words that every shell has, of which no function can stand before one either.
func plainTail(number int) string {
	return ` </dev/null 8>&-; if { :; } 2>&8 <` + statusMark + `"$?":` + strconv.Itoa(number) + `:; then :; fi` + "\n"
}

// readStatus takes a status out of the message that carries it, in whatever language.
func readStatus(heard *[]byte) (code, number int, understood, broken bool) {
	line, whole := takeLine(heard)
	if !whole {
		return 0, 0, false, len(*heard) > 4096
	}
	_, after, _ := bytes.Cut(line, []byte(statusMark))
	code, number, ok := twoNumbers(after)
	return code, number, ok, !ok
}

func takeLine(heard *[]byte) (line []byte, whole bool) {
	line, rest, whole := bytes.Cut(*heard, []byte("\n"))
	if whole {
		*heard = rest
	}
	return line, whole
}

// twoNumbers reads `code:number`, with anything after another colon.
func twoNumbers(text []byte) (code, number int, ok bool) {
	fields := bytes.SplitN(text, []byte(":"), 3)
	if len(fields) < 2 {
		return 0, 0, false
	}
	code, codeErr := strconv.Atoi(string(fields[0]))
	number, numberErr := strconv.Atoi(string(fields[1]))
	return code, number, codeErr == nil && numberErr == nil && code >= 0 && code <= 255
}
