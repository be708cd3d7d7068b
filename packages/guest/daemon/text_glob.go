package main

import (
	"bytes"
	"context"
	"sort"
	"strings"
	"syscall"
)

const maxSearchDepth = 256

// skippedDirectories are not searched; neither is a file of that name found.
func skipped(name string) bool { return name == ".git" || name == "node_modules" }

type globMatch struct {
	path     string
	modified int64
}

// globber walks a tree as far as its patterns reach. A link to a directory within the roots is followed where a segment names it, by `**` never: what
// lies behind it has a path of its own, and links can lead in circles.
type globber struct {
	context  context.Context
	patterns []globPattern
	roots    []root
	base     string
	entries  int
	matches  []globMatch
	cut      bool
}

func (g *globber) directory(reader *directoryReader, states globStates, prefix string, depth int) {
	for {
		name, err := reader.next()
		if err != nil || name == "" {
			return
		}
		if g.entries <= 0 || g.context.Err() != nil {
			g.cut = true
			return
		}
		g.entries--
		if skipped(name) {
			continue
		}
		matched, next, named := states.step(g.patterns, name)
		if !matched && !next.goesOn() {
			continue
		}
		var stat syscall.Stat_t
		if fstatat(reader.descriptor, name, &stat) != nil {
			continue
		}
		switch kind := stat.Mode & syscall.S_IFMT; {
		case kind == syscall.S_IFREG && matched:
			g.matches = append(g.matches, globMatch{g.base + prefix + name, stat.Mtim.Nano()})
		case kind == syscall.S_IFDIR && next.goesOn() && depth < maxSearchDepth:
			if inner, err := openDirectory(reader.descriptor, name); err == nil {
				g.directory(inner, next, prefix+name+"/", depth+1)
				inner.close()
			}
		case kind == syscall.S_IFLNK && named.goesOn() && depth < maxSearchDepth:
			if inner, err := g.behind(prefix + name); err == nil {
				g.directory(inner, named, prefix+name+"/", depth+1)
				inner.close()
			}
		}
	}
}

// behind opens the directory that a link leads to.
func (g *globber) behind(link string) (*directoryReader, error) {
	found, err := resolve(g.roots, g.base+link, true, false, nil)
	if err != nil {
		return nil, err
	}
	defer found.close()
	return found.openDirectory()
}

func opGlob(d *daemon, s *stream, m *members, _ *claim) (*outcome, error) {
	path, roots, pattern := m.path("path"), readRoots(m), m.text("pattern")
	maxResults, maxEntries := int(m.integer("maxResults", 1, 1<<20)), int(m.integer("maxEntries", 1, 1<<20))
	if err := m.err(); err != nil {
		return nil, invalid(err)
	}
	patterns, err := parseGlob(pattern)
	if err != nil {
		return nil, invalid(err)
	}
	g := &globber{context: s.context, patterns: patterns, roots: roots, entries: maxEntries}
	_, err = asAgent(d.threads, func() (any, error) {
		found, err := resolve(roots, path, true, false, nil)
		if err != nil {
			return nil, err
		}
		defer found.close()
		reader, err := found.openDirectory()
		if err != nil {
			return nil, err
		}
		defer reader.close()
		g.base = strings.TrimRight(found.canonical, "/") + "/"
		g.directory(reader, startStates(patterns), "", 1)
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	sort.SliceStable(g.matches, func(a, b int) bool { return g.matches[a].modified > g.matches[b].modified })
	if len(g.matches) > maxResults {
		g.matches, g.cut = g.matches[:maxResults], true
	}
	var lines bytes.Buffer
	for _, match := range g.matches {
		jsonLine(&lines, match.path)
	}
	return ended(channelOutput, lines.Bytes(), map[string]any{"cut": g.cut}), nil
}
