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

package scheduler

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"farpoint.dev/farpoint/probes/probetest"
)

// A process of its own runs an epollServer, so that its CPU and its goroutines are not the
// scheduler's; TestMain runs it when it finds this variable.
const epollServerVariable = "FARPOINT_TEST_EPOLL_SERVER"

func init() {
	testProcesses[epollServerVariable] = func(string) error { return epollServerProcess() }
}

// epollServer is an HTTP server for tens of thousands of requests a second, on one thread.
// It listens at one port of every address of 127.0.0.0/8. The path says which endpoint is
// asked: /0, /1 and so on.
type epollServer struct {
	epoll, listener int
	// dead endpoints accept a connection and never answer.
	dead [1 << 16]atomic.Bool
}

// epollServerProcess serves until its input ends. Each line of the input is the number of an
// endpoint that dies.
func epollServerProcess() error {
	s := &epollServer{}
	var err error
	if s.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if s.listener, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	if err := syscall.Bind(s.listener, &syscall.SockaddrInet4{}); err != nil {
		return err
	}
	if err := syscall.Listen(s.listener, 4096); err != nil {
		return err
	}
	name, err := syscall.Getsockname(s.listener)
	if err != nil {
		return err
	}
	if err := s.watch(s.listener); err != nil {
		return err
	}
	go func() {
		runtime.LockOSThread() // it waits in epoll, not in the runtime's scheduler
		s.serve()
	}()
	fmt.Println(name.(*syscall.SockaddrInet4).Port)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		index, err := strconv.Atoi(lines.Text())
		if err != nil {
			return err
		}
		s.dead[index].Store(true)
		fmt.Println("dead")
	}
	return lines.Err()
}

func (s *epollServer) watch(fd int) error {
	return syscall.EpollCtl(s.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
}

func (s *epollServer) serve() {
	var events [256]syscall.EpollEvent
	for {
		count, _ := syscall.EpollWait(s.epoll, events[:], -1)
		for _, event := range events[:max(count, 0)] {
			if fd := int(event.Fd); fd == s.listener {
				s.accept()
			} else {
				s.answer(fd)
			}
		}
	}
}

func (s *epollServer) accept() {
	for {
		fd, _, err := syscall.Accept4(s.listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		if s.watch(fd) != nil {
			syscall.Close(fd)
		}
	}
}

// answer closes the connection first: TIME_WAIT uses up none of the prober's ports then.
func (s *epollServer) answer(fd int) {
	var request [1024]byte
	count, err := syscall.Read(fd, request[:])
	if err != nil || count <= 0 {
		syscall.Close(fd)
		return
	}
	path, _, _ := bytes.Cut(request[len("GET /"):count], []byte(" "))
	if index, err := strconv.Atoi(string(path)); err == nil && s.dead[index].Load() {
		return
	}
	_, _ = syscall.Write(fd, []byte(probetest.Well))
	syscall.Close(fd)
}

// startEpollServer returns the server's port, and what has an endpoint die.
func startEpollServer(t *testing.T) (port uint16, kill func(index int)) {
	t.Helper()
	process := exec.Command(os.Args[0])
	process.Env = append(os.Environ(), epollServerVariable+"=1")
	process.Stderr = os.Stderr
	input, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		input.Close()
		if err := process.Wait(); err != nil {
			t.Error(err)
		}
	})
	lines := bufio.NewReader(output)
	if _, err := fmt.Fscanln(lines, &port); err != nil {
		t.Fatal(err)
	}
	return port, func(index int) {
		if _, err := io.WriteString(input, strconv.Itoa(index)+"\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
}
