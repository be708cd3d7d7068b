package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxExpansions    = 1024
	maxExpandedBytes = 64 << 10 // of all patterns that braces stand for: each becomes an expression in memory
	maxBraces        = 64       // each is looked for its end
	maxPatternBytes  = 4 << 10
	maxPatternStates = 63
)

// globPattern is one pattern without braces: its segments.
type globPattern []globSegment

// globSegment is `**`, a name as it is, or a name with wildcards.
type globSegment struct {
	anyDepth bool
	literal  string
	wild     *regexp.Regexp
	dotted   bool // wildcards never match a leading dot; it has to stand there
}

func (s globSegment) match(name string) bool {
	if s.wild == nil {
		return name == s.literal
	}
	return (s.dotted || !strings.HasPrefix(name, ".")) && s.wild.MatchString(name)
}

// parseGlob reads a relative pattern: `*`, `**`, `?`, `[…]`, `{a,b}`, `{1..3}`, `\` before what is meant literally.
func parseGlob(text string) ([]globPattern, error) {
	if text == "" || len(text) > maxPatternBytes {
		return nil, fmt.Errorf("pattern: 1 to %d bytes", maxPatternBytes)
	}
	if strings.Count(text, "{") > maxBraces {
		return nil, fmt.Errorf("pattern: more than %d braces", maxBraces)
	}
	expanded, err := expandBraces(text)
	if err != nil {
		return nil, err
	}
	patterns := make([]globPattern, 0, len(expanded))
	for _, one := range expanded {
		if strings.HasPrefix(one, "/") {
			return nil, fmt.Errorf("pattern: has to be relative")
		}
		pattern, err := parseSegments(one)
		if err != nil {
			return nil, err
		}
		if len(pattern) > 0 {
			patterns = append(patterns, pattern)
		}
	}
	return patterns, nil
}

func parseSegments(text string) (globPattern, error) {
	var pattern globPattern
	if strings.HasSuffix(text, "/") {
		return nil, nil // means directories, and only files are found
	}
	for part := range strings.SplitSeq(text, "/") {
		switch {
		case part == "" || part == ".":
		case part == "..":
			return nil, fmt.Errorf("pattern: cannot hold \"..\"")
		case part == "**":
			if len(pattern) == 0 || !pattern[len(pattern)-1].anyDepth {
				pattern = append(pattern, globSegment{anyDepth: true})
			}
		default:
			segment, err := parseSegment(part)
			if err != nil {
				return nil, err
			}
			pattern = append(pattern, segment)
		}
	}
	if len(pattern) > maxPatternStates {
		return nil, fmt.Errorf("pattern: more than %d segments", maxPatternStates)
	}
	return pattern, nil
}

func parseSegment(text string) (globSegment, error) {
	var literal, expression strings.Builder
	expression.WriteString(`(?s)\A`)
	wild := false
	for at := 0; at < len(text); {
		switch c := text[at]; {
		case c == '*':
			wild = true
			for at < len(text) && text[at] == '*' {
				at++
			}
			expression.WriteString(`.*`)
			continue
		case c == '?':
			wild = true
			expression.WriteString(`.`)
		case c == '[':
			class, length := parseClass(text[at:])
			if length > 0 {
				wild = true
				expression.WriteString(class)
				at += length
				continue
			}
			literal.WriteByte(c)
			expression.WriteString(`\[`)
		case c == '\\' && at+1 < len(text):
			at++
			fallthrough
		default:
			_, width := utf8.DecodeRuneInString(text[at:])
			literal.WriteString(text[at : at+width])
			expression.WriteString(regexp.QuoteMeta(text[at : at+width]))
			at += width
			continue
		}
		at++
	}
	if !wild {
		return globSegment{literal: literal.String()}, nil
	}
	expression.WriteString(`\z`)
	compiled, err := regexp.Compile(expression.String())
	if err != nil {
		return globSegment{}, fmt.Errorf("pattern: %q is not understood", text)
	}
	return globSegment{wild: compiled, dotted: strings.HasPrefix(text, ".")}, nil
}

// parseClass reads `[…]` at the start of a text as a regular expression's class; length 0 when it has no end.
func parseClass(text string) (class string, length int) {
	var out strings.Builder
	out.WriteByte('[')
	at := 1
	if at < len(text) && (text[at] == '!' || text[at] == '^') {
		out.WriteByte('^')
		at++
	}
	for first := true; at < len(text); first = false {
		switch {
		case text[at] == ']' && !first:
			out.WriteByte(']')
			return out.String(), at + 1
		case strings.HasPrefix(text[at:], "[:"):
			if end := strings.Index(text[at:], ":]"); end > 0 {
				out.WriteString(text[at : at+end+2])
				at += end + 2
				continue
			}
			out.WriteString(`\[`)
			at++
		case text[at] == '-':
			out.WriteByte('-')
			at++
		default:
			if text[at] == '\\' && at+1 < len(text) {
				at++
			}
			_, width := utf8.DecodeRuneInString(text[at:])
			if strings.ContainsAny(text[at:at+width], `\]^[-`) {
				out.WriteByte('\\')
			}
			out.WriteString(text[at : at+width])
			at += width
		}
	}
	return "", 0
}

// expandBraces gives every pattern that one with braces stands for.
func expandBraces(text string) ([]string, error) {
	done := []string{}
	pending := []string{text}
	bytes := len(text)
	for len(pending) > 0 {
		one := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		before, choices, after, found := firstBraces(one)
		if !found {
			done = append(done, one)
		}
		for at := len(choices) - 1; found && at >= 0; at-- {
			pending = append(pending, before+choices[at]+after)
			bytes += len(before) + len(choices[at]) + len(after)
		}
		if found {
			bytes -= len(one)
		}
		if len(done)+len(pending) > maxExpansions || bytes > maxExpandedBytes {
			return nil, fmt.Errorf("pattern: braces stand for more than %d patterns, or %d bytes of them", maxExpansions, maxExpandedBytes)
		}
	}
	return done, nil
}

// firstBraces finds the first braces that hold a choice.
func firstBraces(text string) (before string, choices []string, after string, found bool) {
	for start := 0; start < len(text); start++ {
		switch text[start] {
		case '\\':
			start++
		case '{':
			if choices, end := readBraces(text, start); len(choices) > 0 {
				return text[:start], choices, text[end:], true
			}
		}
	}
	return "", nil, "", false
}

func readBraces(text string, start int) (choices []string, end int) {
	depth, from := 0, start+1
	for at := start; at < len(text); at++ {
		switch text[at] {
		case '\\':
			at++
		case '{':
			depth++
		case ',':
			if depth == 1 {
				choices = append(choices, text[from:at])
				from = at + 1
			}
		case '}':
			depth--
			if depth > 0 {
				continue
			}
			if len(choices) == 0 {
				return expandRange(text[start+1 : at]), at + 1
			}
			return append(choices, text[from:at]), at + 1
		}
	}
	return nil, 0
}

// expandRange reads `1..9` and `a..e`.
func expandRange(text string) []string {
	low, high, isRange := strings.Cut(text, "..")
	if !isRange {
		return nil
	}
	from, fromErr := shortInteger(low)
	to, toErr := shortInteger(high)
	name := strconv.Itoa
	if fromErr != nil || toErr != nil {
		if len(low) != 1 || len(high) != 1 {
			return nil
		}
		from, to = int(low[0]), int(high[0])
		name = func(code int) string { return string(rune(code)) }
	}
	step := 1
	if to < from {
		step = -1
	}
	if (to-from)*step > maxExpansions {
		return nil
	}
	var values []string
	for value := from; ; value += step {
		values = append(values, name(value))
		if value == to {
			return values
		}
	}
}

// shortInteger is one whose distance to another can be counted.
func shortInteger(text string) (int, error) {
	value, err := strconv.ParseInt(text, 10, 32)
	return int(value), err
}

// globStates are the positions in each pattern that a directory has come to: a bit a segment.
type globStates []uint64

func startStates(patterns []globPattern) globStates {
	states := make(globStates, len(patterns))
	for i, pattern := range patterns {
		states[i] = pattern.closed(1)
	}
	return states
}

// closed adds what may follow a `**` that stands for nothing.
func (p globPattern) closed(state uint64) uint64 {
	for at, segment := range p {
		if state&(1<<at) != 0 && segment.anyDepth {
			state |= 1 << (at + 1)
		}
	}
	return state
}

func (s globStates) goesOn() bool {
	return slices.ContainsFunc(s, func(state uint64) bool { return state != 0 })
}

// step goes one name down: whether it is a match itself, and where its own entries stand; `named` are those of them that it came to by a segment that
// says its name, and not by `**`.
func (s globStates) step(patterns []globPattern, name string) (matched bool, next, named globStates) {
	next, named = make(globStates, len(patterns)), make(globStates, len(patterns))
	for i, pattern := range patterns {
		for at, segment := range pattern {
			if s[i]&(1<<at) == 0 {
				continue
			}
			last := at == len(pattern)-1
			if segment.anyDepth {
				hidden := strings.HasPrefix(name, ".") && (last || !pattern[at+1].match(name))
				if !hidden {
					next[i] |= 1 << at
					matched = matched || last
				}
			} else if segment.match(name) {
				named[i] |= 1 << (at + 1)
				matched = matched || last
			}
		}
		named[i] = pattern.closed(named[i]) &^ (1 << len(pattern))
		next[i] = named[i] | pattern.closed(next[i])&^(1<<len(pattern))
	}
	return matched, next, named
}
