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
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"farpoint.dev/farpoint/test/e2e/netns"
)

// requestTimeout is after how long a client gives up. It is longer than a retransmission
// of a lost SYN takes, which would be a fault of the machine and not of a backend.
const requestTimeout = 1500 * time.Millisecond

// Outcome is how a request went.
type Outcome string

// Outcomes of requests.
const (
	OK         Outcome = "ok"
	Refused    Outcome = "refused"
	Reset      Outcome = "reset"
	Timeout    Outcome = "timeout"
	BadStatus  Outcome = "status"
	OtherError Outcome = "error"
)

// Request is one of a client's.
type Request struct {
	Number int
	// At is when it was sent. A request belongs to this time, however long it took: it is
	// then that a backend was chosen for it.
	At   time.Time
	Took time.Duration
	// Late is how much later than it was to be sent that was, because this machine had
	// other things to do.
	Late time.Duration
	// Backend is who answered.
	Backend string
	Outcome Outcome
	Err     error
}

// Failed reports whether the client did not get what it asked for.
func (r Request) Failed() bool { return r.Outcome != OK }

// Client sends requests at a steady rate until it is stopped.
type Client struct {
	ask func(ctx context.Context, number int) (string, error)
	// inTurn clients send a request once the one before is over.
	inTurn bool
	// close gives back what the requests have in common; nil if they have nothing.
	close func()
	quit  chan struct{}
	stop  sync.Once
	done  sync.WaitGroup

	// mu guards what follows. Nothing waits while holding it.
	mu       sync.Mutex
	requests []Request
	// pending are when requests were sent that are not over, by their number.
	pending map[int]time.Time
}

// Start sends HTTP requests over TCP, or datagrams over UDP, to an address and port
// from inside the namespace, as many a second, each over a connection or from a port of
// its own.
func Start(from *netns.Namespace, network, address string, rate int) *Client {
	c := &Client{quit: make(chan struct{})}
	switch network {
	case "udp":
		c.ask = func(ctx context.Context, number int) (string, error) { return askUDP(ctx, from, address, number) }
	default:
		c.ask = func(ctx context.Context, number int) (string, error) { return askHTTP(ctx, from, address, number) }
	}
	c.start(time.Second / time.Duration(rate))
	return c
}

func (c *Client) start(pause time.Duration) {
	c.done.Go(func() { c.run(pause) })
}

func (c *Client) run(pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for number, due := 0, time.Now().Add(pause); ; number++ {
		select {
		case <-c.quit:
			return
		case <-timer.C:
		}
		if sent := due; c.inTurn {
			c.send(number, sent)
		} else {
			c.done.Go(func() { c.send(number, sent) })
		}
		// What was missed is left out, or it would come in a burst.
		if due = due.Add(pause); due.Before(time.Now()) {
			due = time.Now()
		}
		timer.Reset(time.Until(due))
	}
}

func (c *Client) send(number int, due time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	at := c.begin(number)
	backend, err := c.ask(ctx, number)
	request := Request{Number: number, At: at, Took: time.Since(at), Late: max(at.Sub(due), 0), Backend: backend, Outcome: outcomeOf(err), Err: err}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, request)
	delete(c.pending, number)
}

// begin notes that a request is sent, and returns when.
func (c *Client) begin(number int) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := time.Now()
	if c.pending == nil {
		c.pending = map[int]time.Time{}
	}
	c.pending[number] = at
	return at
}

// Stop returns all requests once the last one is over. It may be called again.
func (c *Client) Stop() []Request {
	c.stop.Do(func() { close(c.quit) })
	c.done.Wait()
	if c.close != nil {
		c.close()
	}
	return c.requests
}

// Between are the requests that were sent in a time. It waits until they are over: those
// take longest that fail.
func (c *Client) Between(from, to time.Time) []Request {
	for c.awaits(to) {
		time.Sleep(10 * time.Millisecond)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var requests []Request
	for _, request := range c.requests {
		if !request.At.Before(from) && request.At.Before(to) {
			requests = append(requests, request)
		}
	}
	return requests
}

// awaits reports whether a request is not over that was sent before a time.
func (c *Client) awaits(before time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, at := range c.pending {
		if at.Before(before) {
			return true
		}
	}
	return false
}

// errStatus is a response that is none of those that were asked for.
var errStatus = errors.New("unexpected status")

func askHTTP(ctx context.Context, from *netns.Namespace, address string, number int) (backend string, err error) {
	connection, err := from.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := connection.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	if _, err := fmt.Fprintf(connection, "GET /requests/%d HTTP/1.1\r\nHost: e2e\r\nConnection: close\r\n\r\n", number); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	return backendOf(response)
}

// backendOf is who has sent a response, and an error unless it is one to wish for.
func backendOf(response *http.Response) (string, error) {
	backend := response.Header.Get("Backend")
	if response.StatusCode != http.StatusOK {
		return backend, fmt.Errorf("%w: %s", errStatus, response.Status)
	}
	return backend, nil
}

func askUDP(ctx context.Context, from *netns.Namespace, address string, number int) (backend string, err error) {
	connection, err := from.DialContext(ctx, "udp", address)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := connection.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	if _, err := fmt.Fprintf(connection, "%d", number); err != nil {
		return "", err
	}
	buffer := make([]byte, 1500)
	length, err := connection.Read(buffer)
	if err != nil {
		return "", err
	}
	backend, echoed, _ := strings.Cut(string(buffer[:length]), " ")
	if echoed != fmt.Sprint(number) {
		return backend, fmt.Errorf("%w: %q is not the answer to %d", errStatus, buffer[:length], number)
	}
	return backend, nil
}

func outcomeOf(err error) Outcome {
	var timeout net.Error
	switch {
	case err == nil:
		return OK
	case errors.Is(err, errStatus):
		return BadStatus
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.ECONNRESET):
		return Reset
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return Timeout
	}
	return OtherError
}
