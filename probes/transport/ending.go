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

// Probes close connections as well-behaved clients do: they read what the endpoint has announced,
// and end with a FIN. An endpoint whose client closes while it still writes gets a reset and EPIPE,
// and many log each reset, which is 43,000 lines a day at an interval of 2 s.
//
// The verdict does not depend on that. The read is bounded in bytes and in time; an endpoint that
// goes on writing gets a reset after all.
//
// The price is TIME_WAIT: the side that sends the first FIN keeps the local port for a minute, for
// this one address and port of the endpoint. With http, servers close first, as the request asks
// them to, unless they are slow; with tcp, the probe does. The kernel's 28,232 ports allow 470
// probes a second of one address and port, and targets that are probed alike share a probe. The
// table of such connections holds 262,144 or fewer; when it is full, the kernel drops further ones
// at once, which does no harm.

// UntilEnd is the length of a response that ends with the connection.
const UntilEnd = -1

const (
	// MaxLingerBytes is how much is read after the verdict.
	MaxLingerBytes = 64 << 10
	// MaxLinger is how long a probe waits for what was announced.
	MaxLinger = time.Second
	// maxFINWait is how long a probe that has sent its FIN waits for the endpoint's, where the
	// verdict waits for that.
	maxFINWait = 250 * time.Millisecond
)

// Ending is how a probe leaves a connection that works after its verdict.
type Ending struct {
	// Unread is how many bytes the endpoint has announced that have not been read, or UntilEnd.
	Unread int64
	// ClosesFirst: the probe sends its FIN before it reads the rest. HTTP servers would conclude
	// that the client is gone.
	ClosesFirst bool
}

// CloseAfterResponse ends a connection after a complete response. The endpoint may have sent more,
// such as a banner: unread data would turn the FIN into a reset.
var CloseAfterResponse = Ending{Unread: UntilEnd, ClosesFirst: true}

// Needed reports whether there is more to do than to close the connection.
func (e Ending) Needed() bool { return e.Unread != 0 || e.ClosesFirst }

// Bytes returns the maximum number of bytes to read.
func (e Ending) Bytes() int {
	if e.Unread == UntilEnd || e.Unread > MaxLingerBytes {
		return MaxLingerBytes
	}
	return int(e.Unread)
}

// Apply does everything that precedes closing the connection. The context is the probe's.
func (e Ending) Apply(ctx context.Context, conn Stream) {
	if !e.Needed() {
		return
	}
	limit := MaxLinger
	if e.ClosesFirst {
		_ = conn.CloseWrite()
		limit = maxFINWait
	}
	LimitReading(ctx, conn, limit)
	discard(conn, e.Bytes())
}

// LimitReading ends reads of a connection after a time, or with the context. Before, the deadline
// of a probe's connection is the context's.
func LimitReading(ctx context.Context, conn net.Conn, limit time.Duration) {
	_ = conn.SetReadDeadline(time.Now().Add(limit)) //nolint:forbidigo // deadlines of connections are by the clock
	if ctx.Err() != nil {
		_ = conn.SetReadDeadline(socket.PastDeadline) // EndWithContext may have set it a moment ago
	}
}

// discard reads up to limit bytes.
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
