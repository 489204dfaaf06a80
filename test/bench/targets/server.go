//go:build linux

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

package targets

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
)

// maxIndexes bounds the targets that can be distinguished by their path.
const maxIndexes = 1 << 17

// targetServer is what the probes are aimed at: one thread and one epoll, so that what
// it costs is little beside what the probes cost. It listens on all addresses, and so is
// at every one of 127.0.0.0/8.
type targetServer struct {
	epoll int
	http  int // listens
	tcp   int // listens
	// answered counts by protocol.
	answered struct{ http, tcp, tls atomic.Int64 }
	arrivals arrivals
	// failing has an entry for each path /0, /1 and so on. A failing one says when it was
	// first answered so, once.
	failing [maxIndexes]atomic.Uint32
	// report gets each first failing answer. It must not block.
	report func(index int, at time.Time)
}

// States of an entry of failing.
const (
	passes uint32 = iota
	failsUnseen
	fails
)

var (
	passed = []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
	failed = []byte("HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nConnection: close\r\n\r\ndown\n")
)

func newTargetServer(report func(int, time.Time)) (*targetServer, error) {
	s := &targetServer{report: report}
	var err error
	if s.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make an epoll: %w", err)
	}
	if s.http, err = listen(4096); err != nil {
		return nil, err
	}
	// A connection is accepted together with its request, which spares the server a wait.
	if err := syscall.SetsockoptInt(s.http, syscall.IPPROTO_TCP, syscall.TCP_DEFER_ACCEPT, 5); err != nil {
		return nil, fmt.Errorf("defer accepting: %w", err)
	}
	if s.tcp, err = listen(4096); err != nil {
		return nil, err
	}
	return s, errors.Join(s.watch(s.http, syscall.EPOLLIN), s.watch(s.tcp, syscall.EPOLLIN))
}

func (s *targetServer) watch(socket int, events uint32) error {
	event := syscall.EpollEvent{Events: events, Fd: int32(socket)}
	return syscall.EpollCtl(s.epoll, syscall.EPOLL_CTL_ADD, socket, &event)
}

// serve returns only if it cannot go on.
func (s *targetServer) serve() error {
	var events [256]syscall.EpollEvent
	for {
		n, err := syscall.EpollWait(s.epoll, events[:], -1)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("wait for events: %w", err)
		}
		for i := range max(n, 0) {
			if events[i].Fd == int32(s.http) {
				s.acceptAll(s.http, s.answer)
			} else {
				s.acceptAll(s.tcp, s.hangUp)
			}
		}
	}
}

func (s *targetServer) acceptAll(listener int, take func(int)) {
	for {
		socket, _, err := syscall.Accept4(listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		switch {
		case errors.Is(err, syscall.EINTR), errors.Is(err, syscall.ECONNABORTED):
			continue
		case err != nil:
			return
		}
		take(socket)
	}
}

// hangUp ends a connection at once: the prober wants it to stand, no more. To wait for
// the prober's end of it would take longer than the probe, and the queue of those who wait
// to be accepted would run over.
func (s *targetServer) hangUp(socket int) {
	s.answered.tcp.Add(1)
	syscall.Close(socket)
}

// answer reads the request, writes the response and closes first, so that the TIME_WAIT
// stays on this side and uses up none of the prober's ports.
func (s *targetServer) answer(socket int) {
	defer syscall.Close(socket)
	var request [1024]byte
	n, err := syscall.Read(socket, request[:])
	if err != nil || n == 0 {
		return
	}
	index := indexOf(request[:n])
	s.arrivals.add(index, time.Now())
	response := passed
	if state := s.failing[index].Load(); state != passes {
		response = failed
		if state == failsUnseen && s.failing[index].CompareAndSwap(failsUnseen, fails) {
			s.report(index, time.Now()) // before the write: the prober is not told earlier
		}
	}
	if _, err := syscall.Write(socket, response); err == nil {
		s.answered.http.Add(1)
	}
}

// indexOf takes the number out of "GET /123 HTTP/1.1"; other requests have the number 0.
func indexOf(request []byte) int {
	index := 0
	for _, digit := range bytes.TrimPrefix(request, []byte("GET /")) {
		if digit < '0' || digit > '9' {
			break
		}
		index = index*10 + int(digit-'0')
	}
	return index % maxIndexes
}

// listen listens on a free port of all IPv4 addresses.
func listen(backlog int) (int, error) {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("make a socket: %w", err)
	}
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{}); err != nil {
		return 0, fmt.Errorf("bind: %w", err)
	}
	if err := syscall.Listen(socket, backlog); err != nil {
		return 0, fmt.Errorf("listen: %w", err)
	}
	return socket, nil
}

// blackHole listens on a port that answers no SYN: nobody accepts there, and what the
// backlog of none still takes is taken by connections of our own.
func blackHole() (int, error) {
	listener, err := listen(0)
	if err != nil {
		return 0, err
	}
	port, err := portOf(listener)
	if err != nil {
		return 0, err
	}
	for range 4 {
		socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return 0, fmt.Errorf("make a socket: %w", err)
		}
		err = syscall.Connect(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port})
		if err != nil && !errors.Is(err, syscall.EINPROGRESS) {
			return 0, fmt.Errorf("fill the black hole: %w", err)
		}
	}
	return port, nil
}

func portOf(socket int) (int, error) {
	name, err := syscall.Getsockname(socket)
	if err != nil {
		return 0, fmt.Errorf("find the port: %w", err)
	}
	return name.(*syscall.SockaddrInet4).Port, nil
}
