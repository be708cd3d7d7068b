package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestCollectorsKeepTheFirstOrTheLast(t *testing.T) {
	for _, size := range []int{0, 1, 3, 7, 10, 30} {
		for _, step := range []int{1, 2, 5, 40} {
			for _, tail := range []bool{false, true} {
				text := []byte("abcdefghijklmnopqrst")
				c := &collector{max: size, tail: tail}
				for at := 0; at < len(text); at += step {
					c.add(text[at:min(at+step, len(text))])
				}
				wanted := text[:min(size, len(text))]
				if tail {
					wanted = text[max(0, len(text)-size):]
				}
				if !bytes.Equal(c.bytes(), wanted) || c.dropped != int64(len(text)-len(wanted)) {
					t.Errorf("max %d, step %d, tail %v: %q, %d dropped", size, step, tail, c.bytes(), c.dropped)
				}
			}
		}
	}
}

func TestGlobsMatchAsNodesDo(t *testing.T) {
	// Each path that Node 24's fs.glob gives, of those below, for the pattern.
	paths := []string{"a.ts", "b.tsx", ".c.ts", "src/a.ts", "src/deep/a.ts", "src/.h/a.ts", ".x/a.ts", "src/[a].ts", "src/a b.ts"}
	for pattern, wanted := range map[string][]string{
		"*.ts":             {"a.ts"},
		"*":                {"a.ts", "b.tsx"},
		".*":               {".c.ts"},
		"**":               {"a.ts", "b.tsx", "src/a.ts", "src/deep/a.ts", "src/[a].ts", "src/a b.ts"},
		"**/*.ts":          {"a.ts", "src/a.ts", "src/deep/a.ts", "src/[a].ts", "src/a b.ts"},
		"src/**/a.ts":      {"src/a.ts", "src/deep/a.ts"},
		"src/*/a.ts":       {"src/deep/a.ts"},
		"src/.h/*":         {"src/.h/a.ts"},
		"{a,b}.{ts,tsx}":   {"a.ts", "b.tsx"},
		"?.ts":             {"a.ts"},
		"[!b].ts":          {"a.ts"},
		"[a-c].ts*":        {"a.ts", "b.tsx"},
		"src/\\[a\\].ts":   {"src/[a].ts"},
		"./src/a.ts":       {"src/a.ts"},
		"src/":             nil,
		"src/a b.ts":       {"src/a b.ts"},
		"s{rc,et}/**/?.ts": {"src/a.ts", "src/deep/a.ts"},
		"{a}.ts":           nil,
		"**/deep/**":       {"src/deep/a.ts"},
		"{-9223372036854775808..9223372036854775807}": nil, // stands for itself
	} {
		patterns, err := parseGlob(pattern)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		var got []string
		for _, path := range paths {
			states, matched := startStates(patterns), false
			for name := range strings.SplitSeq(path, "/") {
				matched, states, _ = states.step(patterns, name)
			}
			if matched {
				got = append(got, path)
			}
		}
		if !reflect.DeepEqual(got, wanted) {
			t.Errorf("%s: %q, wanted %q", pattern, got, wanted)
		}
	}
	for _, pattern := range []string{"", "/a", "../a", "a/../b", "{a,/b}", "{1..9}{1..9}{1..9}{1..9}", strings.Repeat("{a,b}", 8) + strings.Repeat("?a", 200)} {
		if _, err := parseGlob(pattern); err == nil {
			t.Errorf("%.40q was taken", pattern)
		}
	}
}

func TestExpressionsAreBoundedBeforeTheyAreMade(t *testing.T) {
	for pattern, taken := range map[string]bool{
		"a": true, `\b(foo|bar){1,50}\pL+[a-z]{20}$`: true, "x{1000}": true, strings.Repeat("x", 10_000): true,
		strings.Repeat("x{1000}", 101): false, strings.Repeat(`\pL{0,1000}`, 101): false, "(((.{10}){10}){10}" + strings.Repeat("y{1000}", 100) + ")": false, "(": false,
	} {
		if _, err := compileBounded(pattern); (err == nil) != taken {
			t.Errorf("%.40q: %v", pattern, err)
		}
	}
}

func TestLinesAreTakenWithTheirEnds(t *testing.T) {
	for _, c := range []struct {
		start, end int64
		wanted     string
	}{{1, 1, "one\n"}, {2, 3, "two\r\nthree"}, {3, 9, "three"}, {4, 9, ""}, {2, 1, ""}} {
		for step := 1; step < 20; step++ {
			text := []byte("one\ntwo\r\nthree")
			r := &lineRange{start: c.start, end: c.end, max: 100, line: 1}
			for at := 0; at < len(text); at += step {
				r.add(text[at:min(at+step, len(text))])
			}
			if string(r.taken) != c.wanted {
				t.Errorf("%d to %d by %d: %q", c.start, c.end, step, r.taken)
			}
		}
	}
	r := &lineRange{start: 1, end: 1, max: 3, line: 1}
	if _, tooLarge := r.add([]byte("long")); !tooLarge {
		t.Error("a line above the limit was taken")
	}
}

func TestRootsHoldByWholeNamesAndTheInnermostDecides(t *testing.T) {
	roots := []root{{"/work", true}, {"/work/sealed", false}, {"/read", false}}
	for path, wanted := range map[string][2]string{ // to read, to change
		"/work": {"", ""}, "/work/a": {"", ""}, "/workshop": {"outside_roots", "outside_roots"}, "/": {"outside_roots", "outside_roots"},
		"/read/a": {"", "read_only_root"}, "/work/sealed/a": {"", "read_only_root"}, "/work/sealedx": {"", ""},
	} {
		for i, mutate := range []bool{false, true} {
			reason := ""
			if err := confine(roots, true, path, path, mutate); err != nil {
				reason = err.(*failure).Reason
			}
			if reason != wanted[i] {
				t.Errorf("%s, mutate %v: %q", path, mutate, reason)
			}
		}
	}
	if confine(nil, true, "/x", "/x", false) == nil {
		t.Error("an empty list of roots permitted something")
	}
}

// Only reads, in a directory of its own.
func TestPathsAreFollowedWithoutTheKernelsHelp(t *testing.T) {
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, directory := range []string{"a/b", "c"} {
		if err := os.MkdirAll(filepath.Join(base, directory), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	os.WriteFile(filepath.Join(base, "a/b/file"), []byte("x"), 0o644)
	for name, says := range map[string]string{"link": "a/b", "up": "a/b/../../c", "abs": base + "/a", "loop": "loop", "dangling": "a/new", "out": "/etc", "a/b/back": "../../link/file"} {
		if err := os.Symlink(says, filepath.Join(base, name)); err != nil {
			t.Fatal(err)
		}
	}
	roots := []root{{base, true}}
	for path, wanted := range map[string]string{
		"a/b/file": "a/b/file", "link/file": "a/b/file", "link/../b/file": "a/b/file", "up": "c", "abs/b/file": "a/b/file",
		"dangling": "a/new", "a/b/back": "a/b/file", "a//b/./file": "a/b/file", "a/b/": "a/b", "new": "new",
		"loop": "ELOOP", "out/passwd": "outside_roots", "../x": "outside_roots", "../../../../etc": "outside_roots",
		"a/b/file/x": "ENOTDIR", "a/b/file/": "ENOTDIR", "no/such": "ENOENT",
	} {
		found, err := resolve(roots, base+"/"+path, true, true, nil)
		got := ""
		if err != nil {
			got = err.(*failure).Reason
		} else {
			got = strings.TrimPrefix(found.canonical, base+"/")
			found.close()
		}
		if got != wanted {
			t.Errorf("%s: %s, wanted %s", path, got, wanted)
		}
	}
	if _, err := resolve(roots, "/proc/self/root/etc/passwd", true, false, nil); err == nil || err.(*failure).Reason != "outside_roots" {
		t.Error("a link of procfs is not told as a way out:", err)
	}
	if _, err := resolve(nil, "/proc/self/status", true, false, nil); err == nil {
		t.Error("a link of procfs was followed")
	}
	if _, err := resolve(nil, "/proc/"+strconv.Itoa(os.Getpid())+"/status", true, false, nil); err == nil {
		t.Error("the guest's own records were shown")
	}
}

func TestTheCallLogTakesWhatIsWhole(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "state")
	c, err := newCalls(directory)
	if err != nil {
		t.Fatal(err)
	}
	c.log.generation(7)
	for _, id := range []string{"kept", "undone", "released"} {
		c.log.claim(id, [32]byte{1, 2})
	}
	c.log.undo("undone")
	c.log.release([]*call{{id: "released"}})
	file, _ := os.OpenFile(filepath.Join(directory, callLogName), os.O_APPEND|os.O_WRONLY, 0)
	file.WriteString("C cut 0102")
	file.Close()
	for range 2 { // a second time after it was written anew
		again, err := newCalls(directory)
		if err != nil {
			t.Fatal(err)
		}
		if again.generation != 7 || len(again.known) != 2 || again.known["kept"].state != callUnknown || again.known["released"].state != callReleased {
			t.Fatalf("generation %d, %v", again.generation, again.known)
		}
	}
}

func TestStatusesAreReadWhateverTheShellAndItsLanguage(t *testing.T) {
	for text, wanted := range map[string][2]int{
		"/bin/bash: line 4: /dev/null/127:12: Not a directory\n":                {127, 12},
		"/bin/bash: Zeile 4: /dev/null/0:3: Ist kein Verzeichnis\n":             {0, 3},
		"/bin/sh: 1: cannot open /dev/null/5:3:: No such file\n":                {5, 3},
		"sh: can't open /dev/null/255:1:: no such file\n":                       {255, 1},
		"sh: redirection: cannot open file `/dev/null/5:3:': Not a directory\n": {5, 3},
		"zsh: not a directory: /dev/null/5:3:\n":                                {5, 3},
	} {
		heard := []byte(text)
		code, number, understood, broken := readStatus(&heard)
		if !understood || broken || code != wanted[0] || number != wanted[1] || len(heard) != 0 {
			t.Errorf("%q: %d %d %v %v", text, code, number, understood, broken)
		}
	}
	for _, text := range []string{"x\n", "0:1\n", "/dev/null/:1:\n", "/dev/null/256:1: x\n", "/dev/null/-1:1: x\n", strings.Repeat("x", 5000)} {
		heard := []byte(text)
		if _, _, understood, broken := readStatus(&heard); understood || !broken {
			t.Errorf("%.20q was taken", text)
		}
	}
	heard := []byte("sh: /dev/null/0:1")
	if _, _, understood, broken := readStatus(&heard); understood || broken {
		t.Error("half a line was judged")
	}
}

func TestSignalsHaveTheirNames(t *testing.T) {
	for name, number := range map[string]syscall.Signal{"SIGHUP": 1, "SIGKILL": 9, "SIGTERM": 15, "SIGSYS": 31, "SIGRTMIN": 34, "SIGRTMIN+30": 64} {
		if got, known := signalByName(name); !known || got != number || signalName(number) != name {
			t.Errorf("%s: %d", name, got)
		}
	}
	for _, name := range []string{"", "KILL", "SIGNOPE", "SIG0", "0", "9"} {
		if _, known := signalByName(name); known {
			t.Errorf("%q is no signal", name)
		}
	}
}
