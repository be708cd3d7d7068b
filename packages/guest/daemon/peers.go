package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// listen takes connections on a unix socket that only the guest's own user and root may use.
func (d *daemon) listen(path string) error {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		os.Remove(path)
	}
	previous := syscall.Umask(0o177)
	listener, err := net.Listen("unix", path)
	syscall.Umask(previous)
	if err != nil {
		return err
	}
	go func() {
		for {
			peer, err := listener.Accept()
			if err != nil {
				time.Sleep(100 * time.Millisecond) // out of descriptors, most likely
				continue
			}
			if !d.trusted(peer.(*net.UnixConn)) {
				peer.Close()
				continue
			}
			go d.serve(peer)
		}
	}()
	return nil
}

func (d *daemon) trusted(peer *net.UnixConn) bool {
	credentials, err := peerCredentials(peer)
	if err != nil {
		return false
	}
	if d.isRoot && credentials.Uid == d.agent.uid {
		return false
	}
	return credentials.Uid == 0 || int(credentials.Uid) == os.Geteuid()
}

func peerCredentials(peer *net.UnixConn) (*syscall.Ucred, error) {
	raw, err := peer.SyscallConn()
	if err != nil {
		return nil, err
	}
	var credentials *syscall.Ucred
	var credentialsErr error
	if err := raw.Control(func(descriptor uintptr) {
		credentials, credentialsErr = syscall.GetsockoptUcred(int(descriptor), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return nil, err
	}
	return credentials, credentialsErr
}

const (
	firstRedial, longestRedial = 5 * time.Millisecond, time.Second
	maxDialled                 = 64
)

// dialler keeps a connection to every socket in a directory.
type dialler struct {
	daemon    *daemon
	directory string
	mu        sync.Mutex
	dialling  map[string]bool
	changed   *sync.Cond
	changes   int
}

// dialDirectory dials every worker that listens in a directory, now and whenever one appears.
func (d *daemon) dialDirectory(directory string) error {
	if err := d.refuseAgentsDirectory(directory); err != nil {
		return err
	}
	watch, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return err
	}
	const events = syscall.IN_CREATE | syscall.IN_MOVED_TO | syscall.IN_ATTRIB | syscall.IN_DELETE | syscall.IN_MOVED_FROM
	if _, err := syscall.InotifyAddWatch(watch, directory, events); err != nil {
		return &os.PathError{Op: "watch", Path: directory, Err: err}
	}
	l := &dialler{daemon: d, directory: directory, dialling: map[string]bool{}}
	l.changed = sync.NewCond(&l.mu)
	go l.watch(os.NewFile(uintptr(watch), "inotify"))
	return nil
}

// refuseAgentsDirectory: whoever can put a socket there can speak as a worker.
func (d *daemon) refuseAgentsDirectory(directory string) error {
	var stat syscall.Stat_t
	if err := syscall.Stat(directory, &stat); err != nil {
		return &os.PathError{Op: "dialDirectory", Path: directory, Err: err}
	}
	var system syscall.Statfs_t
	if err := syscall.Statfs(directory, &system); err != nil {
		return err
	}
	const readOnly = 1
	writable := stat.Mode&0o002 != 0 || stat.Mode&0o200 != 0 && stat.Uid == d.agent.uid || stat.Mode&0o020 != 0 && stat.Gid == d.agent.gid
	if d.isRoot && writable && system.Flags&readOnly == 0 {
		return fmt.Errorf("dialDirectory %s: the agent could write there; mount it read-only, or give it to another user", directory)
	}
	return nil
}

// watch looks into the directory at the start and after every change. inotify may forget some, so it looks at everything.
func (l *dialler) watch(events io.Reader) {
	buffer := make([]byte, 4096)
	for {
		l.look()
		if _, err := events.Read(buffer); err != nil && !errors.Is(err, syscall.EINTR) {
			fmt.Fprintln(os.Stderr, "glovebox-guest: watching", l.directory, err)
			time.Sleep(time.Second)
		}
		l.mu.Lock()
		l.changes++
		l.changed.Broadcast()
		l.mu.Unlock()
	}
}

func (l *dialler) look() {
	entries, err := os.ReadDir(l.directory)
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasSuffix(name, ".sock") && !l.dialling[name] && len(l.dialling) < maxDialled {
			l.dialling[name] = true
			go l.dial(name)
		}
	}
}

// dial serves a worker for as long as its socket is there.
func (l *dialler) dial(name string) {
	defer func() {
		l.mu.Lock()
		delete(l.dialling, name)
		l.mu.Unlock()
	}()
	path := filepath.Join(l.directory, name)
	pause := firstRedial
	for {
		seen := l.seen()
		if _, err := os.Lstat(path); err != nil {
			return
		}
		if peer, err := net.Dial("unix", path); err == nil {
			began := time.Now()
			l.daemon.serve(peer)
			if time.Since(began) > time.Second {
				pause = firstRedial
			}
		}
		l.sleep(pause, seen)
		pause = min(2*pause, longestRedial)
	}
}

func (l *dialler) seen() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changes
}

// sleep waits before another try, or for a change of the directory.
func (l *dialler) sleep(pause time.Duration, seen int) {
	wake := time.AfterFunc(pause, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.changed.Broadcast()
	})
	defer wake.Stop()
	until := time.Now().Add(pause)
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.changes == seen && time.Now().Before(until) {
		l.changed.Wait()
	}
}

// connect copies stdio to and from a listening guest: for engines that only offer "spawn with stdio".
func connect(path string) error {
	if err := makeUndumpable(); err != nil {
		return err
	}
	peer, err := dialPatiently(path)
	if err != nil {
		return err
	}
	guest := peer.(*net.UnixConn)
	credentials, err := peerCredentials(guest)
	if err != nil {
		return err
	}
	if credentials.Uid != 0 && int(credentials.Uid) != os.Geteuid() {
		return fmt.Errorf("%s: listened on by uid %d, which is not the guest's", path, credentials.Uid)
	}
	go func() {
		io.Copy(guest, os.Stdin)
		guest.CloseWrite()
	}()
	_, err = io.Copy(os.Stdout, guest)
	return err
}

// dialPatiently gives a guest that is just starting 5 s.
func dialPatiently(path string) (net.Conn, error) {
	for tries := 0; ; tries++ {
		peer, err := net.Dial("unix", path)
		if err == nil || tries > 500 {
			return peer, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}
