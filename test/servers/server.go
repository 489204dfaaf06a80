/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

// Package servers runs the servers that people depend on, as the Debian packages have
// them, for tests: on the loopback, on free ports, with their files in folders of their
// own, and as nobody where the tests run as root.
package servers

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// TB is what is needed of a testing.TB, so that ginkgo's GinkgoT() will do as well.
type TB interface {
	Helper()
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// patience is how long a server may take to start or to end.
const patience = time.Minute

// nobody runs the servers where the tests run as root, which most servers refuse.
const nobody = 65534

// Server is a server of a test. It ends with the test.
type Server struct {
	t TB
	// folder holds its files.
	folder string
	// address is where it listens. It stays the same when the server is started again.
	address netip.AddrPort
	path    string
	args    []string
	// stopSignal asks it to end.
	stopSignal syscall.Signal
	// ready returns an error until it is at work.
	ready func() error

	command *exec.Cmd
	ended   chan struct{}
	output  output
}

// newServer prepares a server that is not running yet.
func newServer(t TB, path string, stopSignal syscall.Signal) *Server {
	t.Helper()
	s := &Server{t: t, path: path, stopSignal: stopSignal, address: freePort(t)}
	s.ready = s.listens
	folder, err := os.MkdirTemp("", "farpoint-test-")
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	s.folder = folder
	s.give(folder)
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(path), s.output.String())
		}
	})
	return s
}

// Address is where the server listens.
func (s *Server) Address() netip.AddrPort { return s.address }

// Log is what the server has written so far.
func (s *Server) Log() string { return s.output.String() }

// Start starts the server, again if it has ended, and waits until it is at work.
func (s *Server) Start() {
	s.t.Helper()
	s.start(s.ready)
}

// StartListening is Start for a server that is not to get to work: it must only listen.
func (s *Server) StartListening() {
	s.t.Helper()
	s.start(s.listens)
}

func (s *Server) start(ready func() error) {
	s.t.Helper()
	s.launch()
	deadline := time.Now().Add(patience)
	for err := ready(); err != nil; err = ready() {
		select {
		case <-s.ended:
			s.t.Fatalf("%s has ended:\n%s", s.path, s.output.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s is not at work: %v\n%s", s.path, err, s.output.String())
		}
	}
}

// launch starts the server and does not wait for it.
func (s *Server) launch() {
	s.t.Helper()
	s.command = s.tool(s.path, s.args...)
	s.command.SysProcAttr.Setpgid = true
	dieWithParent(s.command.SysProcAttr)
	s.ended = make(chan struct{})
	if err := s.command.Start(); err != nil {
		s.t.Fatalf("%v", err)
	}
	go func(command *exec.Cmd, ended chan struct{}) {
		_ = command.Wait() // how it ended is in its output
		close(ended)
	}(s.command, s.ended)
}

// Stop ends the server as those who run it would.
func (s *Server) Stop() {
	s.t.Helper()
	s.signal(s.stopSignal)
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.t.Fatalf("%s does not end", s.path)
	}
}

// Kill ends the server at once, also one that is frozen, or that has ended.
func (s *Server) Kill() {
	if s.command == nil || s.command.Process == nil {
		return
	}
	_ = s.command.Process.Kill() // it may have ended
	<-s.ended
}

// Freeze stops the server from doing anything, while the kernel still takes connections
// for it.
func (s *Server) Freeze() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
}

// Thaw lets a frozen server go on.
func (s *Server) Thaw() {
	s.t.Helper()
	s.signal(syscall.SIGCONT)
}

func (s *Server) signal(signal syscall.Signal) {
	s.t.Helper()
	if err := s.command.Process.Signal(signal); err != nil {
		s.t.Fatalf("%v", err)
	}
}

// listens is the least that can be asked of a server.
func (s *Server) listens() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.address.String())
	if err != nil {
		return err
	}
	return conn.Close()
}

// tool is a command that runs as the server does.
func (s *Server) tool(path string, args ...string) *exec.Cmd {
	command := exec.CommandContext(context.Background(), path, args...) // it ends with the test
	command.Dir = s.folder
	command.Env = []string{"HOME=" + s.folder, "TMPDIR=" + s.folder, "LC_ALL=C.UTF-8", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	command.Stdout, command.Stderr = &s.output, &s.output
	command.SysProcAttr = &syscall.SysProcAttr{}
	if os.Geteuid() == 0 {
		command.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	return command
}

// run runs a tool to its end.
func (s *Server) run(path string, args ...string) {
	s.t.Helper()
	if err := s.tool(path, args...).Run(); err != nil {
		s.t.Fatalf("%s: %v\n%s", path, err, s.output.String())
	}
}

// write makes a file that only the server may read, and returns its path.
func (s *Server) write(name, content string) string {
	s.t.Helper()
	path := filepath.Join(s.folder, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		s.t.Fatalf("%v", err)
	}
	s.give(path)
	return path
}

// give makes a file the server's own.
func (s *Server) give(path string) {
	s.t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Chown(path, nobody, nobody); err != nil {
		s.t.Fatalf("%v", err)
	}
}

// freePort is a place where nothing listens, and hardly anything will soon: the kernel
// hands its ports out at random.
func freePort(t TB) netip.AddrPort {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

// output is what a server writes, to be read at any time.
type output struct {
	// mu guards text. No I/O happens under it.
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// KeyPair is a certificate and its key in PEM.
type KeyPair struct{ Certificate, Key string }
