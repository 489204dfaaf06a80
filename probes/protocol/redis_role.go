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
	"net"
	"strconv"
	"strings"
	"time"

	"farpoint.dev/farpoint/probes"
)

// redisProbeKey is a key that probes name and never make.
const redisProbeKey = "farpoint:probe"

// appendHarmlessWrite appends a write that changes nothing, whatever the key holds: it asks
// for the removal of the elements from the second to the first of a sorted set. A server that
// takes no writes refuses it before it looks at the key. One that has no memory left for more
// data takes it.
func appendHarmlessWrite(request []byte) []byte {
	return appendCommand(request, "ZREMRANGEBYRANK", redisProbeKey, "1", "0")
}

// checkRole returns an error if the server is not what the role is for, or is too far behind
// its master.
func (p *redisProber) checkRole(conn net.Conn, r *respReader) error {
	answer, err := r.read()
	switch {
	case err != nil:
		return err
	case answer.failed:
		return redisFault(answer.text, probes.ReasonRoleUnknown)
	case answer.text != redisMaster && answer.text != redisReplica && p.role != "": // such as a sentinel
		return fault(probes.ReasonRoleUnknown)
	case p.role != "" && answer.text != p.role:
		return errWrongRole
	case p.role == redisMaster:
		return p.checkTakesWrites(conn, r)
	case answer.text == redisReplica && !answer.followsMaster():
		return p.checkLag(conn, r)
	}
	return nil
}

// followsMaster reads what ROLE says of a replica: "slave", its master's host and port, the
// state of the link and an offset.
func (r reply) followsMaster() bool { return len(r.elements) > 3 && r.elements[3] == "connected" }

// checkTakesWrites reads the answer to the harmless write.
func (p *redisProber) checkTakesWrites(conn net.Conn, r *respReader) error {
	answer, err := r.read()
	if err != nil || !answer.failed {
		return err
	}
	switch code, _, _ := strings.Cut(answer.text, " "); code {
	case "READONLY", "NOREPLICAS":
		return fault(probes.ReasonReadOnly)
	case "LOADING", "MASTERDOWN", "BUSY", "MISCONF", "CLUSTERDOWN":
		return fault(probes.ReasonNotAccepting)
	case "NOPERM":
		return p.checkReplicas(conn, r)
	}
	return nil // such as WRONGTYPE, or MOVED by a node that does not have the key's slot
}

// checkReplicas is what remains to be asked by a user who may not write: whether a master
// that takes writes only if enough replicas follow has at least one.
func (p *redisProber) checkReplicas(conn net.Conn, r *respReader) error {
	info, err := askReplicationInfo(conn, r)
	if err != nil {
		return err
	}
	if info["min_slaves_good_slaves"] == "0" {
		return fault(probes.ReasonReadOnly)
	}
	return nil // or the user may not ask that either
}

// checkLag returns an error if a replica has been without its master for longer than maxLag.
func (p *redisProber) checkLag(conn net.Conn, r *respReader) error {
	if p.maxLag == 0 {
		return fault(probes.ReasonLag)
	}
	info, err := askReplicationInfo(conn, r)
	if err != nil {
		return err
	}
	if info["master_link_status"] == "up" {
		return nil // it has just come back
	}
	seconds, err := strconv.ParseInt(info["master_link_down_since_seconds"], 10, 32)
	switch {
	case err != nil:
		return fault(probes.ReasonRoleUnknown)
	case seconds < 0, time.Duration(seconds)*time.Second > p.maxLag: // -1: never since it was started
		return fault(probes.ReasonLag)
	}
	return nil
}

// askReplicationInfo is what INFO says about the replication; empty if the server does not
// tell the user.
func askReplicationInfo(conn net.Conn, r *respReader) (map[string]string, error) {
	if _, err := conn.Write(appendCommand(nil, "INFO", "replication")); err != nil {
		return nil, err
	}
	text, err := r.readText()
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields, nil
}
