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

package servers

import (
	"strconv"
	"syscall"
)

// Redis is a Redis server.
type Redis struct{ *Server }

// NewRedis prepares a Redis server. The settings are lines of redis.conf.
func NewRedis(t TB, settings ...string) *Redis {
	t.Helper()
	s := newServer(t, Program(t, "redis-server"), syscall.SIGTERM)
	config := "bind 127.0.0.1\nport " + strconv.Itoa(int(s.address.Port())) + "\nsave \"\"\n"
	for _, line := range settings {
		config += line + "\n"
	}
	s.args = []string{s.write("redis.conf", config)}
	return &Redis{s}
}

// WithTLS makes a server that has not started speak nothing but TLS.
func (r *Redis) WithTLS(pair KeyPair) *Redis {
	r.t.Helper()
	r.args = append(r.args,
		"--port", "0", "--tls-port", strconv.Itoa(int(r.address.Port())), "--tls-auth-clients", "no",
		"--tls-cert-file", r.write("tls.crt", pair.Certificate), "--tls-key-file", r.write("tls.key", pair.Key))
	return r
}

// Do sends a command to a server that asks for no password and speaks no TLS.
func (r *Redis) Do(words ...string) {
	r.t.Helper()
	r.run("/usr/bin/redis-cli", append([]string{"-e", "-p", strconv.Itoa(int(r.address.Port()))}, words...)...)
}
