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

package protocol

import (
	"context"
	"net"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/transport"
)

// grpcWatcher is a grpcProber of a server that also says by itself when the service's
// health changes, on a stream that is held.
type grpcWatcher struct {
	*grpcProber
	stream *grpcProber
}

// watchKeepAlive lets the kernel find out within a minute that nobody is at the other end
// any more. The probes have found out then, too; it is only for the stream to be renewed.
var watchKeepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

// Watch implements Watcher.
func (w *grpcWatcher) Watch(ctx context.Context, report func(probes.Result)) {
	// The probes tell why a stream cannot be had, or ends.
	_ = w.dialer.Converse(ctx, w.to, func(conn transport.Stream) error {
		if err := conn.SetKeepAliveConfig(watchKeepAlive); err != nil {
			return err
		}
		call, err := w.stream.call(ctx, conn)
		if err != nil {
			return err
		}
		defer call.end()
		for {
			result, err := call.next()
			if err != nil {
				return err
			}
			report(result)
			call.reader.allow(maxHTTP2Bytes)
		}
	})
}
