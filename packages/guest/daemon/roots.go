package main

import (
	"encoding/json"
	"strings"
)

// root is a tree in which a file operation has to stay.
type root struct {
	path     string
	writable bool
}

// readRoots: absent means no confinement, an empty list permits nothing.
func readRoots(m *members) []root {
	if !m.has("roots") {
		return nil
	}
	var list []map[string]json.RawMessage
	m.into("roots", "a list of { path, writable }", &list)
	roots := []root{}
	for _, raw := range list {
		inner := &members{raw: raw}
		roots = append(roots, root{inner.path("path"), inner.boolean("writable")})
		m.adopt("roots", inner)
	}
	return roots
}

// resolve finds the place of a path and holds it within the roots; without any the whole file system will do.
func resolve(roots []root, path string, follow, mutate bool, makeDirectory func(parent int, name string) error) (*place, error) {
	canonicalRoots, err := canonicalRoots(roots)
	if err != nil {
		return nil, err
	}
	check := func(canonical string) error { return confine(canonicalRoots, roots != nil, canonical, path, mutate) }
	var make func(int, string, string) error
	if makeDirectory != nil {
		make = func(parent int, name, canonical string) error {
			if err := check(canonical); err != nil {
				return err
			}
			return makeDirectory(parent, name)
		}
	}
	found, err := walk(path, follow, make)
	if err != nil {
		if _, is := err.(magicLink); is && roots != nil {
			return nil, outside(path)
		}
		if absent, is := err.(missing); is {
			if refusal := check(absent.canonical); refusal != nil {
				return nil, refusal
			}
		}
		return nil, asFailure(err, path, "none")
	}
	if err := check(found.canonical); err != nil {
		found.close()
		return nil, err
	}
	return found, nil
}

// canonicalRoots resolves the roots as paths are resolved; one that is not there yet is where it would be.
func canonicalRoots(roots []root) ([]root, error) {
	resolved := make([]root, 0, len(roots))
	for _, one := range roots {
		found, err := walk(one.path, true, nil)
		canonical := ""
		if absent, is := err.(missing); is {
			canonical = absent.canonical
		} else if err != nil {
			return nil, asFailure(err, one.path, "none")
		} else {
			canonical = found.canonical
			found.close()
		}
		resolved = append(resolved, root{canonical, one.writable})
	}
	return resolved, nil
}

// confine asks whether a canonical path lies in a root, and in a writable one when it is to be changed. The innermost root decides.
func confine(roots []root, confined bool, canonical, given string, mutate bool) error {
	if !confined {
		return nil
	}
	var innermost *root
	for i, one := range roots {
		if within(one.path, canonical) && (innermost == nil || len(one.path) > len(innermost.path) || len(one.path) == len(innermost.path) && !one.writable) {
			innermost = &roots[i]
		}
	}
	switch {
	case innermost == nil:
		return outside(given)
	case mutate && !innermost.writable:
		return refuse("permission_denied", "read_only_root", "%s: is inside read-only directory %s", given, innermost.path)
	}
	return nil
}

func outside(given string) *failure {
	return refuse("permission_denied", "outside_roots", "%s: leads outside of the permitted directories", given)
}

func within(directory, path string) bool {
	return directory == "/" || path == directory || strings.HasPrefix(path, directory+"/")
}
