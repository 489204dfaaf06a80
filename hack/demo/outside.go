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
	_ "embed"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"sigs.k8s.io/yaml"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// namespace and name are those of the ExternalService in the manifest.
const namespace, name = "integration", "legacy-api"

var (
	// addresses are those in the manifest, of ranges for documentation, which nobody has
	// (RFC 5737, RFC 3849), and zones are theirs.
	addresses = []string{"192.0.2.10", "192.0.2.20", "2001:db8::10", "2001:db8::20"}
	zones     = []string{"zone-a", "zone-b", "zone-a", "zone-b"}
	// manifest needs the address of a backend for each of them.
	//go:embed legacy-api.yaml
	manifest string
)

// externalService probes these backends; the text is what a user would write.
func externalService(backends []*backend) (object *farpointv1.ExternalService, text string) {
	var probed []any
	for _, backend := range backends {
		probed = append(probed, backend.address)
	}
	text = fmt.Sprintf(manifest, probed...)
	if err := yaml.UnmarshalStrict([]byte(text), &object); err != nil {
		panic(err) // a test reads it, too
	}
	return object, text
}

// backend is an HTTP server that plays a machine outside the cluster. It can be stopped, and
// started again at the same address.
type backend struct {
	address string
	// server is nil while the backend is stopped.
	server *http.Server
}

// newBackends starts four, two of them at IPv6 addresses if the machine has IPv6.
func newBackends(ctx context.Context) (started []*backend, err error) {
	for _, host := range []string{"127.0.0.1", "127.0.0.1", "::1", "::1"} {
		server := &backend{address: net.JoinHostPort(host, "0")}
		if err = server.start(ctx); err != nil {
			server.address = "127.0.0.1:0"
			err = server.start(ctx)
		}
		if err != nil {
			return started, err
		}
		started = append(started, server)
	}
	return started, nil
}

// start lets the backend answer; it does nothing if the backend runs.
func (b *backend) start(ctx context.Context) error {
	if b.server != nil {
		return nil
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", b.address)
	if err != nil {
		return fmt.Errorf("start a backend: %w", err)
	}
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }),
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	b.address, b.server = listener.Addr().String(), server
	go func() { _ = server.Serve(listener) }()
	return nil
}

// stop closes the listener and all connections, as when a process dies.
func (b *backend) stop() {
	if b.server != nil {
		_ = b.server.Close()
		b.server = nil
	}
}
