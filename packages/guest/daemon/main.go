// Command glovebox-guest runs inside a sandbox and serves workers over byte streams; ../protocol.md says how.
package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// config is what `serve` is told.
type config struct {
	listen, dialDirectory string
	stateDirectory        string
	privateDirectory      string
	user                  user
	workdir               string
	env                   map[string]string
	path                  string
	orphaned              time.Duration
	secret                string
	threads               int
	disk                  *diskLimit
}

const (
	defaultThreads = 48
	// What the runtime needs beside the threads that block: one for each core, one that watches, one that receives signals.
	leastThreads   = agentThreadCount + 12
	memoryLimit    = 160 << 20
	idleBeforeTidy = 5 * time.Second
)

func parseConfig(text []byte) (config, error) {
	m, err := parseMembers(text)
	if err != nil {
		return config{}, err
	}
	c := config{listen: m.textOr("listen", ""), dialDirectory: m.textOr("dialDirectory", ""), stateDirectory: m.path("stateDirectory")}
	if m.has("privateDirectory") {
		c.privateDirectory = m.path("privateDirectory")
	}
	who := m.object("user")
	c.user = user{uid: uint32(who.integer("uid", 0, 1<<31-1)), gid: uint32(who.integer("gid", 0, 1<<31-1))}
	m.adopt("user", who)
	c.workdir, c.env, c.path = m.path("workdir"), m.environment("env"), m.text("path")
	if m.has("disk") {
		disk := m.object("disk")
		c.disk = &diskLimit{bytes: disk.integer("maxBytes", 1, 1<<53), files: disk.integer("maxFiles", 1, 1<<53)}
		m.adopt("disk", disk)
	}
	c.orphaned = time.Duration(m.integerOr("orphanedMs", 0, maxTimeoutMs, 0)) * time.Millisecond
	c.secret = m.textOr("secret", "")
	c.threads = int(m.integerOr("threads", leastThreads, 512, defaultThreads))
	if m.err() == nil && c.listen == "" && c.dialDirectory == "" {
		m.refuse("listen", "a path, here or in dialDirectory")
	}
	if m.err() == nil && c.listen != "" && int(c.user.uid) == os.Geteuid() && c.secret == "" {
		m.refuse("secret", "a text, because the agent has the guest's uid and could connect")
	}
	return c, m.err()
}

// daemon is the guest.
type daemon struct {
	config    config
	boot      string
	started   time.Time
	isRoot    bool
	agent     user
	null      *os.File
	processes *processes
	threads   *agentThreads
	agents    *agents
	calls     *calls
	shells    *shells
	survivors *survivors
	searches  chan struct{} // as many as run at once

	mu          sync.Mutex
	connections int
	orphan      *time.Timer
	tidy        *time.Timer
}

func startDaemon(c config) (*daemon, error) {
	syscall.Umask(0o022)
	d := &daemon{config: c, started: time.Now(), isRoot: os.Geteuid() == 0, shells: &shells{named: map[string]*shellSlot{}}, survivors: &survivors{},
		searches: make(chan struct{}, maxSearches)}
	if d.isRoot && c.user.uid == 0 {
		return nil, errors.New("config: user: the agent cannot be root")
	}
	if !d.isRoot && int(c.user.uid) != os.Geteuid() {
		return nil, fmt.Errorf("config: user: only root can start programs as uid %d", c.user.uid)
	}
	agent, err := lookUpUser(fmt.Sprintf("%d:%d", c.user.uid, c.user.gid), c.workdir)
	if err != nil {
		return nil, err
	}
	d.agent = agent
	var random [16]byte
	rand.Read(random[:])
	d.boot = hex.EncodeToString(random[:])
	if d.null, err = os.OpenFile("/dev/null", os.O_RDWR, 0); err != nil {
		return nil, err
	}
	if err := d.makeWorkdir(); err != nil {
		return nil, err
	}
	if c.privateDirectory != "" {
		if err := ownDirectory(c.privateDirectory); err != nil {
			return nil, err
		}
	}
	if d.calls, err = newCalls(c.stateDirectory); err != nil {
		return nil, err
	}
	if err := dropRights(); err != nil {
		return nil, fmt.Errorf("dropping rights: %w", err)
	}
	// Before it is undumpable: its own files in procfs are root's from then on.
	d.processes = newProcesses()
	if err := makeUndumpable(); err != nil {
		return nil, err
	}
	catchSignals(d.shutDown)
	if d.threads, err = startAgentThreads(agent, d.isRoot); err != nil {
		return nil, fmt.Errorf("taking the agent's file-system identity: %w", err)
	}
	d.agents = newAgents(agent, d.isRoot)
	makeThreads(c.threads - agentThreadCount)
	d.orphan = time.AfterFunc(time.Hour, d.shutDown)
	d.orphan.Stop()
	if c.orphaned > 0 {
		d.orphan.Reset(c.orphaned)
	}
	d.tidy = time.AfterFunc(idleBeforeTidy, debug.FreeOSMemory)
	if c.disk != nil {
		go d.watchDisk(*c.disk)
	}
	return d, nil
}

// makeWorkdir makes the work directory, and gives it to the agent, when it is not there.
func (d *daemon) makeWorkdir() error {
	if _, err := os.Stat(d.config.workdir); err == nil {
		return nil
	}
	if err := os.MkdirAll(d.config.workdir, 0o755); err != nil {
		return err
	}
	if !d.isRoot {
		return nil
	}
	if err := os.Lchown(d.config.workdir, int(d.agent.uid), int(d.agent.gid)); err != nil {
		return fmt.Errorf("giving %s to the agent (needs CAP_CHOWN at start): %w", d.config.workdir, err)
	}
	return nil
}

func (d *daemon) connected(*connection) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.connections++
	d.orphan.Stop()
	d.tidy.Stop()
}

func (d *daemon) disconnected(*connection) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.connections--
	if d.connections == 0 {
		d.tidy.Reset(idleBeforeTidy)
		if d.config.orphaned > 0 {
			d.orphan.Reset(d.config.orphaned)
		}
	}
}

// shutDown ends everything that runs for the agent, and the guest.
func (d *daemon) shutDown() {
	d.killAll()
	os.Exit(0)
}

func opStats(d *daemon, s *stream, m *members, _ *claim) (*outcome, error) {
	d.mu.Lock()
	connections := d.connections
	d.mu.Unlock()
	rss, threads := ownUse()
	return &outcome{fields: map[string]any{
		"boot": d.boot, "uptimeMs": time.Since(d.started).Milliseconds(), "processes": d.processes.count(), "shells": d.shells.count(),
		"connections": connections, "rssBytes": rss, "threads": threads,
	}}, nil
}

// ownUse reads the guest's resident memory and its threads.
func ownUse() (rssBytes, threads int64) {
	content, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(line, ":")
		number, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			rssBytes = number << 10
		case "Threads":
			threads = number
		}
	}
	return rssBytes, threads
}

func serveCommand(arguments []string) error {
	if len(arguments) != 2 {
		return errors.New(usage)
	}
	var text []byte
	switch arguments[0] {
	case "--config-json":
		text = []byte(arguments[1])
		if m, err := parseMembers(text); err == nil && m.has("secret") {
			return errors.New("config: a secret on the command line is none; use --config-env or --config-fd")
		}
	case "--config-env":
		text = []byte(os.Getenv(arguments[1]))
		os.Unsetenv(arguments[1])
	case "--config-fd":
		number, err := strconv.Atoi(arguments[1])
		if err != nil || number < 0 {
			return errors.New(usage)
		}
		file := os.NewFile(uintptr(number), "config")
		if text, err = io.ReadAll(io.LimitReader(file, 1<<20)); err != nil {
			return err
		}
		file.Close()
	default:
		return errors.New(usage)
	}
	c, err := parseConfig(text)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	d, err := startDaemon(c)
	if err != nil {
		return err
	}
	if c.listen != "" {
		if err := d.listen(c.listen); err != nil {
			return err
		}
	}
	if c.dialDirectory != "" {
		if err := d.dialDirectory(c.dialDirectory); err != nil {
			return err
		}
	}
	select {}
}

const usage = `usage: glovebox-guest serve --config-env NAME | --config-fd N | --config-json TEXT
       glovebox-guest connect PATH
       glovebox-guest version`

func run(arguments []string) error {
	if len(arguments) < 1 {
		return errors.New(usage)
	}
	switch {
	case arguments[0] == "serve":
		return serveCommand(arguments[1:])
	case arguments[0] == "connect" && len(arguments) == 2:
		return connect(arguments[1])
	case arguments[0] == "version":
		answer, err := json.Marshal(map[string]any{"version": daemonVersion, "protocol": protocolVersion})
		fmt.Println(string(answer))
		return err
	}
	return errors.New(usage)
}

func main() {
	// A call is a chain of hand-overs between goroutines, and with more than one processor each would wake another: a third of a call's time.
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(memoryLimit)
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "glovebox-guest:", err)
		os.Exit(1)
	}
}
