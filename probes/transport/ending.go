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

package transport

import (
	"context"
	"io"
	"net"
	"sync"
	"time"

	"farpoint.dev/farpoint/probes/socket"
)

// Probes end as polite clients do: what the endpoint has announced is read, and the connection
// ends by a FIN. An endpoint that is left while it still writes gets a reset and EPIPE, and one
// that is reset logs an error, each of which is 43,000 lines a day at an interval of 2 s.
//
// The verdict does not depend on it. What is read at last is bounded by bytes and by time, and
// after that even a polite client must leave an endpoint that goes on writing by a reset.
//
// The price is TIME_WAIT: the side that sends the first FIN keeps the local port for a minute, for this
// one address and port of an endpoint. With http, servers close first, as the request has asked
// them to, unless they are slow. With tcp it is the probe. The kernel's 28,232 ports allow 470
// probes a second of one address and port, and targets that are probed alike share a probe. The
// table of such connections holds 262,144 or fewer; when it is full, further ones are forgotten
// at once, which does no harm.

// UntilEnd is the length of what only the end of the connection ends.
const UntilEnd = -1

const (
	// MaxLingerBytes is how much is read after the verdict.
	MaxLingerBytes = 64 << 10
	// MaxLinger is how long what was announced is waited for.
	MaxLinger = time.Second
	// maxFarewell is how long an endpoint is waited for to close after the probe has, where a
	// verdict waits for it.
	maxFarewell = 250 * time.Millisecond
)

// Ending is how a probe leaves a connection that works after its verdict.
type Ending struct {
	// Unread is how many bytes the endpoint has announced that have not been read, or untilEnd.
	Unread int64
	// ClosesFirst: the probe has said all, and says so. Servers of HTTP would take that for a
	// client that is gone.
	ClosesFirst bool
}

// CloseAfterResponse ends a connection on which the endpoint has said all that it was asked for. It may
// have sent more, such as a banner: data that is left unread turns a FIN into a reset.
var CloseAfterResponse = Ending{Unread: UntilEnd, ClosesFirst: true}

// Needed reports whether there is more to do than to close the connection.
func (e Ending) Needed() bool { return e.Unread != 0 || e.ClosesFirst }

// Bytes is how many bytes are read at most.
func (e Ending) Bytes() int {
	if e.Unread == UntilEnd || e.Unread > MaxLingerBytes {
		return MaxLingerBytes
	}
	return int(e.Unread)
}

// Apply ends a connection, all but closing it. The context is that of its probe.
func (e Ending) Apply(ctx context.Context, conn Stream) {
	if !e.Needed() {
		return
	}
	limit := MaxLinger
	if e.ClosesFirst {
		_ = conn.CloseWrite()
		limit = maxFarewell
	}
	LimitReading(ctx, conn, limit)
	discard(conn, e.Bytes())
}

// LimitReading has reads of a connection end after so long, or with the context. A probe's
// deadline is the context's before.
func LimitReading(ctx context.Context, conn net.Conn, limit time.Duration) {
	_ = conn.SetReadDeadline(time.Now().Add(limit)) //nolint:forbidigo // deadlines of connections are by the clock
	if ctx.Err() != nil {
		_ = conn.SetReadDeadline(socket.PastDeadline) // bind may have set it a moment ago
	}
}

// discard reads so many bytes, or fewer if there are no more.
func discard(source io.Reader, limit int) {
	buffer := discarded.Get().(*[4 << 10]byte)
	defer discarded.Put(buffer)
	for limit > 0 {
		n, err := source.Read(buffer[:min(limit, len(buffer))])
		if limit -= n; err != nil {
			return
		}
	}
}

var discarded = sync.Pool{New: func() any { return new([4 << 10]byte) }}
