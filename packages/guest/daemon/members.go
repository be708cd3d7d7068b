package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// members is a JSON object off the wire. Its getters note the first wrong member; ask `err` after the last of them.
type members struct {
	raw   map[string]json.RawMessage
	wrong error
}

// parseMembers reads one JSON object: valid UTF-8 without lone surrogates; of a name given twice the last counts.
func parseMembers(payload []byte) (*members, error) {
	if !utf8.Valid(payload) {
		return nil, errors.New("not UTF-8")
	}
	if err := checkSurrogates(payload); err != nil {
		return nil, err
	}
	m := &members{}
	if err := json.Unmarshal(payload, &m.raw); err != nil {
		return nil, errors.New("not a JSON object")
	}
	if m.raw == nil {
		return nil, errors.New("not a JSON object")
	}
	return m, nil
}

// checkSurrogates refuses escapes that no UTF-8 text can say; encoding/json would replace them without a word.
func checkSurrogates(text []byte) error {
	for at := 0; at < len(text); at++ {
		if text[at] != '\\' {
			continue
		}
		at++
		unit, ok := escapedUnit(text, at)
		if !ok {
			continue
		}
		at += 4
		if unit >= 0xDC00 && unit <= 0xDFFF {
			return errors.New("lone surrogate")
		}
		if unit >= 0xD800 && unit <= 0xDBFF {
			if at+1 >= len(text) || text[at+1] != '\\' {
				return errors.New("lone surrogate")
			}
			low, ok := escapedUnit(text, at+2)
			if !ok || low < 0xDC00 || low > 0xDFFF {
				return errors.New("lone surrogate")
			}
			at += 6
		}
	}
	return nil
}

// escapedUnit reads `uXXXX` at `at`.
func escapedUnit(text []byte, at int) (rune, bool) {
	if at+5 > len(text) || text[at] != 'u' {
		return 0, false
	}
	var unit rune
	for _, digit := range text[at+1 : at+5] {
		value := strings.IndexByte("0123456789abcdef", digit|0x20)
		if value < 0 || digit < '0' {
			return 0, false
		}
		unit = unit<<4 | rune(value)
	}
	return unit, true
}

func (m *members) err() error { return m.wrong }

func (m *members) refuse(name, wanted string) {
	if m.wrong == nil {
		m.wrong = fmt.Errorf("member %q: want %s", name, wanted)
	}
}

func (m *members) has(name string) bool {
	raw, there := m.raw[name]
	return there && !bytes.Equal(raw, []byte("null"))
}

// into decodes a member; absent or ill-typed ones are noted as wrong.
func (m *members) into(name, wanted string, target any) bool {
	if !m.has(name) || json.Unmarshal(m.raw[name], target) != nil {
		m.refuse(name, wanted)
		return false
	}
	return true
}

func (m *members) text(name string) string {
	var value string
	if m.into(name, "text without NUL", &value) && strings.ContainsRune(value, 0) {
		m.refuse(name, "text without NUL")
	}
	return value
}

func (m *members) textOr(name, fallback string) string {
	if !m.has(name) {
		return fallback
	}
	return m.text(name)
}

func (m *members) boolean(name string) bool {
	var value bool
	m.into(name, "true or false", &value)
	return value
}

func (m *members) booleanOr(name string, fallback bool) bool {
	if !m.has(name) {
		return fallback
	}
	return m.boolean(name)
}

func (m *members) integer(name string, least, most int64) int64 {
	var value float64
	wanted := fmt.Sprintf("an integer from %d to %d", least, most)
	if m.into(name, wanted, &value) && (value != float64(int64(value)) || value < float64(least) || value > float64(most)) {
		m.refuse(name, wanted)
		return least
	}
	return int64(value)
}

func (m *members) integerOr(name string, least, most, fallback int64) int64 {
	if !m.has(name) {
		return fallback
	}
	return m.integer(name, least, most)
}

func (m *members) texts(name string) []string {
	var values []string
	m.into(name, "a list of texts without NUL", &values)
	for _, value := range values {
		if strings.ContainsRune(value, 0) {
			m.refuse(name, "a list of texts without NUL")
		}
	}
	return values
}

func (m *members) environment(name string) map[string]string {
	const wanted = "an object of texts without NUL, names not empty and without ="
	values := map[string]string{}
	m.into(name, wanted, &values)
	for key, value := range values {
		if key == "" || strings.ContainsAny(key, "=\x00") || strings.ContainsRune(value, 0) {
			m.refuse(name, wanted)
		}
	}
	return values
}

// path is an absolute path of at most 64 KiB.
func (m *members) path(name string) string {
	value := m.text(name)
	if m.wrong == nil && (!strings.HasPrefix(value, "/") || len(value) > 1<<16) {
		m.refuse(name, "an absolute path")
	}
	return value
}

func (m *members) object(name string) *members {
	inner := &members{}
	m.into(name, "an object", &inner.raw)
	return inner
}

func (m *members) adopt(name string, inner *members) {
	if inner.wrong != nil && m.wrong == nil {
		m.wrong = fmt.Errorf("in %q: %w", name, inner.wrong)
	}
}
