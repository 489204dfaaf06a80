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

package traffic

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"farpoint.dev/farpoint/test/e2e/netns"
)

// StartSession sends HTTP requests from inside the namespace over one connection, each
// once the one before has been answered and the pause is over. If the connection is lost,
// that is a failed request, and the next one makes another.
func StartSession(from *netns.Namespace, address string, pause time.Duration) *Client {
	s := &session{namespace: from, address: address}
	c := &Client{quit: make(chan struct{}), inTurn: true, ask: s.ask, close: s.hangUp}
	c.start(pause)
	return c
}

// session is a connection that is kept.
type session struct {
	namespace  *netns.Namespace
	address    string
	connection net.Conn
	responses  *bufio.Reader
}

func (s *session) ask(ctx context.Context, number int) (backend string, err error) {
	if s.connection == nil {
		if s.connection, err = s.namespace.DialContext(ctx, "tcp", s.address); err != nil {
			return "", err
		}
		s.responses = bufio.NewReader(s.connection)
	}
	defer func() {
		if err != nil {
			s.hangUp()
		}
	}()
	if deadline, ok := ctx.Deadline(); ok {
		if err := s.connection.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	if _, err := fmt.Fprintf(s.connection, "GET /requests/%d HTTP/1.1\r\nHost: e2e\r\n\r\n", number); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(s.responses, nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return "", err
	}
	return backendOf(response)
}

func (s *session) hangUp() {
	if s.connection != nil {
		s.connection.Close()
		s.connection = nil
	}
}

// StartFlow sends datagrams from inside the namespace, as many a second, all from one
// port. The kernel keeps to the backend that it has chosen for the first of them, until
// kube-proxy tells it that this one is gone.
func StartFlow(from *netns.Namespace, address string, rate int) (*Client, error) {
	connection, err := from.DialContext(context.Background(), "udp", address)
	if err != nil {
		return nil, err
	}
	f := &flow{connection: connection, waiting: map[int]chan string{}}
	c := &Client{quit: make(chan struct{}), ask: f.ask, close: func() { connection.Close() }}
	go f.listen()
	c.start(time.Second / time.Duration(rate))
	return c, nil
}

// flow is a socket whose datagrams are answered in any order.
type flow struct {
	connection net.Conn

	// mu guards waiting, by the number of the request. Nothing waits while holding it.
	mu      sync.Mutex
	waiting map[int]chan string
}

func (f *flow) ask(ctx context.Context, number int) (backend string, err error) {
	answer := make(chan string, 1)
	f.mu.Lock()
	f.waiting[number] = answer
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.waiting, number)
	}()
	if _, err := fmt.Fprint(f.connection, number); err != nil {
		return "", err
	}
	select {
	case backend := <-answer:
		return backend, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// listen hands out the answers until the socket is closed. What else goes wrong, such as
// the news that there is no such port, belongs to a request that will not be answered.
func (f *flow) listen() {
	buffer := make([]byte, 1500)
	for {
		length, err := f.connection.Read(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		backend, echoed, _ := strings.Cut(string(buffer[:length]), " ")
		number, wrong := strconv.Atoi(echoed)
		if err != nil || wrong != nil {
			continue
		}
		f.mu.Lock()
		answer := f.waiting[number]
		delete(f.waiting, number)
		f.mu.Unlock()
		if answer != nil {
			answer <- backend
		}
	}
}
