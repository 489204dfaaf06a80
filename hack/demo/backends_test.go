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
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestBackendDiesAndComesBack(t *testing.T) {
	b, err := newBackend(t.Context(), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer b.stop()
	first := b.address
	wantAnswer(t, b)
	idle, err := net.Dial("tcp", b.address) // a connection that is open when it dies
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()

	b.stop()
	b.stop()
	if b.up() {
		t.Error("up after it was stopped")
	}
	if _, err := net.Dial("tcp", b.address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dialled with %v; want refused", err)
	}
	_ = idle.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := idle.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read with %v; want a closed connection", err)
	}

	for range 2 {
		if err := b.start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if b.address != first {
		t.Errorf("came back at %s; was at %s", b.address, first)
	}
	wantAnswer(t, b)
}

func wantAnswer(t *testing.T, b *backend) {
	t.Helper()
	response, err := http.Get(b.url())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || string(body) != "ok\n" {
		t.Errorf("status %d, body %q, %v", response.StatusCode, body, err)
	}
}

func TestThereIsABackendForEachPlace(t *testing.T) {
	backends, err := newBackends(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stopAll(backends)
	if len(backends) != len(places) {
		t.Errorf("%d backends for %d places", len(backends), len(places))
	}
	for _, each := range backends {
		wantAnswer(t, each)
	}
}
