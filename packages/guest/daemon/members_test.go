package main

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTextsThatNoUTF8CanSayAreRefused(t *testing.T) {
	for text, good := range map[string]bool{
		`{"a":"x"}`: true, `{"a":"\ud83d\ude00"}`: true, `{"a":"\\ud800"}`: true, `{}`: true,
		`{"a":"\ud800"}`: false, `{"a":"\ude00"}`: false, `{"a":"\ud83d\ud83d"}`: false, `{"a":"\ud83dx"}`: false, `{"\uDFFF":1}`: false,
		`[1]`: false, `null`: false, ``: false, `{`: false, "{\"a\":\"\xff\"}": false, `{} {}`: false,
	} {
		if _, err := parseMembers([]byte(text)); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestTheFirstWrongMemberIsNamed(t *testing.T) {
	parse := func(text string) *members {
		m, err := parseMembers([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for text, read := range map[string]func(*members){
		`{"a":1.5}`:      func(m *members) { m.integer("a", 0, 9) },
		`{"a":10}`:       func(m *members) { m.integer("a", 0, 9) },
		`{"a":1e300}`:    func(m *members) { m.integer("a", 0, 9) },
		`{"a":"1"}`:      func(m *members) { m.integer("a", 0, 9) },
		`{"A":1}`:        func(m *members) { m.integer("a", 0, 9) },
		`{"a":null}`:     func(m *members) { m.text("a") },
		`{"a":"\u0000"}`: func(m *members) { m.text("a") },
		`{"a":"rel"}`:    func(m *members) { m.path("a") },
		`{"a":["x",1]}`:  func(m *members) { m.texts("a") },
		`{"a":{"=":""}}`: func(m *members) { m.environment("a") },
		`{"a":{"":""}}`:  func(m *members) { m.environment("a") },
		`{"a":"true"}`:   func(m *members) { m.boolean("a") },
	} {
		m := parse(text)
		read(m)
		m.text("second")
		if err := m.err(); err == nil || !strings.Contains(err.Error(), `"a"`) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	for _, seed := range []string{
		`{"op":"exec","argv":["a"],"cwd":"/","env":{"A":"b"},"stdin":"pipe","output":{"maxBytes":5,"keep":"tail"},"timeoutMs":5}`,
		`{"op":"file.write","path":"/a","mode":420,"createParents":true,"parentMode":493,"exclusive":false,"roots":[{"path":"/","writable":true}],"call":"x"}`,
		`{"op":"text.glob","path":"/a","pattern":"{a,{1..3}}/**/[!a-z]?.\\*"}`, `{"op":"text.grep","path":"/a","pattern":"(?i)\\b(a|b){2,9}[[:alpha:]]*\\pL$"}`,
		`{"op":"shell.run","shell":"m","commandBytes":3,"cwd":"/","env":{}}`, `{"listen":"/a","stateDirectory":"/b","user":{"uid":1,"gid":1},"workdir":"/w","env":{},"path":""}`,
	} {
		f.Add([]byte(seed))
	}
	d := &daemon{}
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := parseMembers(payload)
		if err != nil {
			return
		}
		if canonical, err := canonicalRequest(m); err == nil && !utf8.Valid(canonical) {
			t.Fatal("canonical form is not UTF-8")
		}
		readRoots(m)
		d.readExec(m)
		parseConfig(payload)
		pattern := m.textOr("pattern", "*")
		if glob, err := parseGlob(pattern); err == nil {
			startStates(glob).step(glob, "a.b")
		}
		if expression, err := compileBounded(pattern); err == nil {
			expression.MatchString("a.b")
		}
	})
}
