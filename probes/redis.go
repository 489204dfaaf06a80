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

package probes

import (
	"context"
	"net"
	"net/url"
	"strings"
)

// redisPort is the port of Redis.
const redisPort = 6379

// redisProber checks that a Redis server lets the user in, answers PING and, if asked to,
// has a role. It speaks the protocol by hand: these are four commands, and the usual
// client is much larger than all of them.
type redisProber struct {
	dialer *Dialer
	to     destination
	tls    *tlsClient // nil for redis
	// request is all that is sent: the commands do not depend on the replies.
	request []byte
	// logsIn: the request begins with AUTH.
	logsIn bool
	// role is what ROLE must say; empty if it is not asked.
	role string
}

// redisRoles maps the words in a probe URL to those of ROLE.
var redisRoles = map[string]string{"": "", "master": "master", "replica": "slave"}

func (d *Dialer) newRedisProber(def Definition, u *url.URL) (Prober, error) {
	to, given, err := d.streamDestination(def.withDefaultPort(redisPort), u, "role")
	if err == nil {
		err = endsAfterPort(u)
	}
	if err != nil {
		return nil, err
	}
	role, err := given.oneOf("role", "master", "replica")
	if err != nil {
		return nil, err
	}
	user, password, logsIn, err := def.login(u)
	if err != nil {
		return nil, err
	}
	p := &redisProber{dialer: d, to: to, logsIn: logsIn, role: redisRoles[role]}
	p.request = redisRequest(user, password, logsIn, role != "")
	if u.Scheme == "rediss" {
		if p.tls, err = d.newTLSClient(def.TLS, to.host()); err != nil {
			return nil, err
		}
	}
	if password != "" {
		err = def.checkSending(loginRedisAuth, "redis", p.tls)
	}
	return p, err
}

func redisRequest(user, password string, logsIn, asksRole bool) []byte {
	var request []byte
	switch {
	case logsIn && user != "":
		request = appendCommand(request, "AUTH", user, password)
	case logsIn: // before Redis 6 there were no users
		request = appendCommand(request, "AUTH", password)
	}
	request = appendCommand(request, "PING")
	if asksRole {
		request = appendCommand(request, "ROLE")
	}
	return appendCommand(request, "QUIT")
}

func (p *redisProber) place() place { return p.to.place() }

func (p *redisProber) security() *tlsClient { return p.tls }

func (p *redisProber) scheme() string {
	if p.tls != nil {
		return "rediss"
	}
	return "redis"
}

// Probe implements Prober.
func (p *redisProber) Probe(ctx context.Context) Result {
	err := p.dialer.converse(ctx, p.to, func(conn stream) error {
		if p.tls == nil {
			return p.talk(conn)
		}
		client, err := p.tls.handshake(ctx, conn)
		if err != nil {
			return err
		}
		err = p.talk(client)
		_ = client.CloseWrite() // a goodbye; whether it is heard does not matter
		return err
	})
	if err != nil {
		return classify(ctx, err)
	}
	return success()
}

// talk sends the commands and reads the replies.
func (p *redisProber) talk(conn net.Conn) error {
	// A server that is full says so and closes, before it has read the request. If it
	// said nothing, the read fails like the write did.
	_, _ = conn.Write(p.request)
	r := newRESPReader(conn)
	defer r.release()
	if p.logsIn {
		if answer, err := r.read(); err != nil {
			return err
		} else if answer.failed {
			return redisFault(answer.text, ReasonAuthentication)
		}
	}
	if answer, err := r.read(); err != nil {
		return err
	} else if answer.failed {
		return redisFault(answer.text, ReasonServerError)
	} else if answer.text != "PONG" {
		return fault(ReasonProtocol)
	}
	if p.role != "" {
		if answer, err := r.read(); err != nil {
			return err
		} else if answer.failed {
			return redisFault(answer.text, ReasonRoleUnknown)
		} else if answer.text != p.role {
			return fault(ReasonRole)
		}
	}
	// The reply to QUIT comes with the end, or instead of it; either is fine.
	_, _ = r.read()
	return nil
}

// redisFault is what an error reply says about the server, or otherwise if it says
// nothing that is known. By convention its first word is a code.
func redisFault(text string, otherwise Reason) error {
	code, _, _ := strings.Cut(text, " ")
	switch code {
	case "LOADING", "MASTERDOWN", "BUSY":
		return fault(ReasonNotAccepting)
	case "NOAUTH", "WRONGPASS", "DENIED":
		return fault(ReasonAuthentication)
	case "NOPERM":
		if otherwise != ReasonRoleUnknown {
			return fault(ReasonAuthentication)
		}
	}
	if strings.HasPrefix(text, "ERR max number of clients") {
		return fault(ReasonTooManyConnections)
	}
	return fault(otherwise)
}
