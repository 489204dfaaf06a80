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
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
)

// A master is what takes writes.
func TestRedisProbe_MasterRefusesWrites_IsNoMaster(t *testing.T) {
	t.Parallel() // it waits for servers
	lonely := startRedis(t, "min-replicas-to-write 1", "user reader on >hunter2 +ping +role +info", "user blind on >hunter2 +ping +role")
	here := lonely.Address()
	master := prepare(t, at(here, "redis:// role=Primary"))
	expect(t, master, probes.FailureResult(probes.ReasonReadOnly))
	for _, test := range []struct {
		name string
		def  Definition
		want probes.Result
	}{
		{"if no role matters", at(here, "redis://"), probes.SuccessResult()},
		{"user without the right to write", openLoginAt(here, "redis:// role=Primary", "reader", "hunter2"), probes.FailureResult(probes.ReasonReadOnly)},
		{"user without any right", openLoginAt(here, "redis:// role=Primary", "blind", "hunter2"), probes.SuccessResult()},
	} {
		if got := result(t, test.def, probetest.Ample); got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
	replica := startRedis(t, fmt.Sprintf("replicaof 127.0.0.1 %d", here.Port()))
	expect(t, master, probes.SuccessResult())
	lonely.Do("CONFIG", "SET", "min-replicas-to-write", "2")
	expect(t, master, probes.FailureResult(probes.ReasonReadOnly))
	replica.Stop()
	lonely.Do("CONFIG", "SET", "min-replicas-to-write", "0")
	expect(t, master, probes.SuccessResult())

	lonely.Do("ZADD", redisProbeKey, "1", "a", "2", "b")
	expect(t, master, probes.SuccessResult())
	if dirty := string(askedRedis(t, lonely.Address().String(), "ZCARD "+redisProbeKey)); dirty != ":2\r\n" {
		t.Errorf("the probe has changed something: %q", dirty)
	}
	lonely.Do("SET", redisProbeKey, "x")
	expect(t, master, probes.SuccessResult())
}

// askedRedis is the first part of the answer to a command.
func askedRedis(t *testing.T, address, command string) []byte {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, command+"\r\n")
	buffer := make([]byte, 512)
	n, _ := conn.Read(buffer)
	return buffer[:n]
}

func TestRedisProbe_ClusterNodeWithoutSlots_IsNotAccepting(t *testing.T) {
	t.Parallel() // it waits for servers
	server := startRedis(t, "cluster-enabled yes", fmt.Sprintf("cluster-port %d", probetest.Refusing(t).Port()), "cluster-config-file nodes.conf")
	expect(t, prepare(t, at(server.Address(), "redis:// role=Primary")), probes.FailureResult(probes.ReasonNotAccepting))
}

// A replica that has lost its master gets older and older.
func TestRedisProbe_ReplicaWithoutMaster_Lags(t *testing.T) {
	t.Parallel() // it waits for servers
	master := startRedis(t)
	replica := startRedis(t, fmt.Sprintf("replicaof 127.0.0.1 %d", master.Address().Port()))
	strict, patient := prepare(t, at(replica.Address(), "redis:// role=Replica")), prepare(t, at(replica.Address(), "redis:// role=Replica maxLag=1h"))
	short := prepare(t, at(replica.Address(), "redis:// maxLag=1s"))
	for _, prober := range []probes.Prober{strict, patient, short, prepare(t, at(master.Address(), "redis:// maxLag=1s"))} {
		expect(t, prober, probes.SuccessResult())
	}
	master.Stop()
	expect(t, strict, probes.FailureResult(probes.ReasonLag))
	expect(t, short, probes.FailureResult(probes.ReasonLag))
	expect(t, patient, probes.SuccessResult())
	expect(t, prepare(t, at(replica.Address(), "redis://")), probes.SuccessResult())
	master.Start()
	for _, prober := range []probes.Prober{strict, patient, short} {
		expect(t, prober, probes.SuccessResult())
	}
	lost := startRedis(t, fmt.Sprintf("replicaof 127.0.0.1 %d", probetest.Refusing(t).Port()))
	expect(t, prepare(t, at(lost.Address(), "redis:// role=Replica maxLag=1h")), probes.FailureResult(probes.ReasonLag))
}

// Nobody has to hear that we leave.
func TestRedisProbe_ServerIgnoresEndOfSession_EndsAtOnce(t *testing.T) {
	endpoint := probetest.Serve(t, func(conn net.Conn) { _, _ = io.WriteString(conn, "+PONG\r\n*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n:0\r\n") })
	for _, query := range []string{"", " role=Primary"} {
		prober := prepare(t, at(endpoint, "redis://"+query))
		start := time.Now()
		got := probeOnce(t, prober, probetest.Ample)
		if took := time.Since(start); got.Reason == probes.ReasonTimeout || took > probetest.Ample/2 {
			t.Errorf("%s: got %+v after %v", query, got, took)
		}
	}
}

// No connection ends so that the server would write of an error.
func TestRedisProbe_EndsByFIN(t *testing.T) {
	t.Parallel() // it waits for servers
	server := startRedis(t, "loglevel verbose")
	for _, query := range []string{"", " role=Primary", " role=Replica", " maxLag=1s"} {
		prober := prepare(t, at(server.Address(), "redis://"+query))
		for range 5 {
			probeOnce(t, prober, probetest.Ample)
		}
	}
	probetest.Eventually(t, "every connection is closed by its client", func() bool { return strings.Count(server.Log(), "Client closed connection") >= 20 })
	if log := server.Log(); strings.Contains(log, "Reading from client") || strings.Contains(log, "reset by peer") {
		t.Errorf("the server complains:\n%s", log)
	}
}
