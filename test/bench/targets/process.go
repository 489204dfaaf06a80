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
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"farpoint.dev/farpoint/test/bench/statistics"
)

// Places are the ports of the targets, on every address of 127.0.0.0/8.
type Places struct {
	HTTP, TCP, TLS, BlackHole int
	// Authority is what signed the certificate for targetName, as PEM.
	Authority string
}

// Counts are how many probes have been answered, and how late 99% of those were at most
// that have been timed, in milliseconds.
type Counts struct {
	HTTP, TCP, TLS int64
	LateP99        float64
}

// Answer reports when a target first answered that it is down.
type Answer struct {
	Index int
	At    int64 // nanoseconds since 1970
}

// message is a line of what the target server says; one of the fields is set.
type message struct {
	Places *Places `json:",omitempty"`
	Counts *Counts `json:",omitempty"`
	Answer *Answer `json:",omitempty"`
}

// Serve is the target server's process. It obeys its standard input, a line a
// command, and ends with it, so that it does not outlive the process that started it.
func Serve() error {
	messages := make(chan message, maxIndexes) // as many as there can be answers
	server, err := newTargetServer(func(index int, at time.Time) {
		messages <- message{Answer: &Answer{index, at.UnixNano()}}
	})
	if err != nil {
		return err
	}
	ports, err := server.places()
	if err != nil {
		return err
	}
	go func() {
		out := json.NewEncoder(os.Stdout)
		for m := range messages {
			if out.Encode(m) != nil {
				return
			}
		}
	}()
	ended := make(chan error, 2)
	go func() {
		runtime.LockOSThread() // its thread waits in epoll, not the runtime's scheduler
		ended <- server.serve()
	}()
	messages <- message{Places: &ports}
	go func() { ended <- server.obey(bufio.NewScanner(os.Stdin), messages) }()
	return <-ended
}

func (s *targetServer) places() (Places, error) {
	http, err := portOf(s.http)
	if err != nil {
		return Places{}, err
	}
	tcp, err := portOf(s.tcp)
	if err != nil {
		return Places{}, err
	}
	tls, authority, err := s.serveTLS()
	if err != nil {
		return Places{}, err
	}
	hole, err := blackHole()
	return Places{HTTP: http, TCP: tcp, TLS: tls, BlackHole: hole, Authority: string(authority)}, err
}

// obey carries out "count", "time 2000000000 10000", "fail 1 2 3" and "pass 1 2 3".
func (s *targetServer) obey(commands *bufio.Scanner, messages chan<- message) error {
	for commands.Scan() {
		words := strings.Fields(commands.Text())
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "count":
			n := &s.answered
			messages <- message{Counts: &Counts{n.http.Load(), n.tcp.Load(), n.tls.Load(), statistics.Milliseconds(s.arrivals.end())}}
		case "time":
			var interval time.Duration
			var targets int
			if _, err := fmt.Sscan(strings.Join(words[1:], " "), &interval, &targets); err != nil {
				return err
			}
			s.arrivals.begin(interval, targets)
		case "fail":
			if err := s.set(words[1:], failsUnseen); err != nil {
				return err
			}
		case "pass":
			if err := s.set(words[1:], passes); err != nil {
				return err
			}
		default:
			return fmt.Errorf("unknown command %q", words[0])
		}
	}
	return commands.Err()
}

func (s *targetServer) set(indexes []string, state uint32) error {
	for _, text := range indexes {
		index, err := strconv.Atoi(text)
		if err != nil || index < 0 || index >= maxIndexes {
			return errors.New("no such target: " + text)
		}
		s.failing[index].Store(state)
	}
	return nil
}
