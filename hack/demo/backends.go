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

package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// backend is a little HTTP server that plays a machine outside the cluster. It can be
// stopped and started again at the same address.
type backend struct {
	// address is host:port on loopback.
	address string
	// server is nil while the backend is stopped.
	server *http.Server
}

// newBackend starts one at a free port of the host.
func newBackend(ctx context.Context, host string) (*backend, error) {
	made := &backend{address: net.JoinHostPort(host, "0")}
	return made, made.start(ctx)
}

// newBackends starts four, two of them at IPv6 addresses if the machine has IPv6.
func newBackends(ctx context.Context) ([]*backend, error) {
	const v4, v6 = "127.0.0.1", "::1"
	var made []*backend
	for _, host := range []string{v4, v4, v6, v6} {
		each, err := newBackend(ctx, host)
		if err != nil && host == v6 {
			each, err = newBackend(ctx, v4)
		}
		if err != nil {
			stopAll(made)
			return nil, err
		}
		made = append(made, each)
	}
	return made, nil
}

func stopAll(backends []*backend) {
	for _, each := range backends {
		each.stop()
	}
}

// up tells whether the backend is started.
func (b *backend) up() bool { return b.server != nil }

// url is what is probed.
func (b *backend) url() string { return "http://" + b.address + "/health" }

// start makes the backend answer; it does nothing to one that is up.
func (b *backend) start(ctx context.Context) error {
	if b.up() {
		return nil
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", b.address)
	if err != nil {
		return fmt.Errorf("start a backend: %w", err)
	}
	b.address = listener.Addr().String()
	b.server = &http.Server{
		Handler:           http.HandlerFunc(healthy),
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	// The server is an argument: the field is nil by the time it has been closed.
	go func(server *http.Server) { _ = server.Serve(listener) }(b.server)
	return nil
}

// stop closes the listener and all connections, as when a process dies. From then on
// connections are refused.
func (b *backend) stop() {
	if b.up() {
		_ = b.server.Close() // of use to nobody any more
		b.server = nil
	}
}

func healthy(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "ok")
}
