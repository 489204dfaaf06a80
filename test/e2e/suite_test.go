//go:build linux && e2e

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

package e2e_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"farpoint.dev/farpoint/test/e2e"
	"farpoint.dev/farpoint/test/e2e/netns"
)

const root = "../.."

// world is what the tests share.
var world struct {
	*e2e.Cluster
	watcher *e2e.Watcher
	stalls  *e2e.Stalls
	// restarting is held while ended replicas are restarted.
	restarting sync.Mutex
	// operators are the replicas, each running unless a test has stopped it.
	operators []*e2e.Operator
	report    e2e.Report
}

var (
	repetitions = flag.Int("repetitions", 1, "how often each fault is repeated that comes at a random moment")
	outage      = flag.Duration("outage", 8*time.Second, "how long the control plane is away")
)

func TestMain(m *testing.M) {
	flag.Parse()
	log.SetLogger(logr.Discard())
	// Ctrl-C is for us alone, and so is what is left of the cleaning up.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-interrupts
		if world.Cluster != nil {
			fmt.Fprintln(os.Stderr, "e2e: interrupted:", world.Stop())
		}
		os.Exit(130)
	}()
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	binaries := e2e.Binaries{
		Assets:  os.Getenv("KUBEBUILDER_ASSETS"),
		Manager: fromEnvironment("E2E_MANAGER", filepath.Join(root, "bin/manager")),
		Backend: fromEnvironment("E2E_BACKEND", filepath.Join(root, "bin/e2e-backend")),
	}
	if err := e2e.Require(binaries); err != nil {
		return 1, err
	}
	// Root may lack this right. Then the tests need an idle machine.
	if giveBack, err := e2e.TakePrecedence(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
	} else {
		defer giveBack() //nolint:errcheck // the session may be over
	}
	folder, err := netns.NewFolder()
	if err != nil {
		return 1, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	world.Cluster, err = e2e.NewCluster(ctx, binaries, folder)
	defer func() {
		err = errors.Join(err, world.Stop())
		if code == 0 && err == nil {
			err = os.RemoveAll(folder)
		} else {
			fmt.Fprintln(os.Stderr, "e2e: until the next run, logs are in", folder)
		}
	}()
	if err != nil {
		return 1, err
	}
	if err := install(ctx); err != nil {
		return 1, err
	}
	watching, unwatch := context.WithCancel(context.Background())
	defer unwatch()
	world.watcher = world.StartWatcher(watching)
	world.stalls = e2e.WatchStalls(watching)
	code = m.Run()
	return code, errors.Join(world.report.Print(os.Stdout), world.report.Save(filepath.Join(root, "dist")))
}

// install installs the operator as a user would, and waits until it is ready.
func install(ctx context.Context) error {
	if err := world.Apply(filepath.Join(root, "config/default")); err != nil {
		return fmt.Errorf("install the operator: %w", err)
	}
	for range 2 {
		started, err := world.StartOperator(ctx, e2e.OperatorOptions{})
		if err != nil {
			return err
		}
		world.operators = append(world.operators, started)
		if err := awaitReady(ctx, started); err != nil {
			return err
		}
	}
	return nil
}

// restartOperators restarts replicas that have ended, as a kubelet would, so that later tests have
// them. Whether a replica may end is for its own test to check.
func restartOperators(ctx context.Context) error {
	world.restarting.Lock()
	defer world.restarting.Unlock()
	for _, operator := range world.operators {
		if operator.Alive() == nil {
			continue
		}
		if err := operator.Start(ctx); err != nil {
			return err
		}
		if err := awaitReady(ctx, operator); err != nil {
			return err
		}
	}
	return nil
}

func awaitReady(ctx context.Context, operator *e2e.Operator) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := operator.Ready(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the operator does not get ready: %w", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// fromEnvironment returns a path that a variable may set.
func fromEnvironment(variable, otherwise string) string {
	if path := os.Getenv(variable); path != "" {
		return path
	}
	path, err := filepath.Abs(otherwise)
	if err != nil {
		return otherwise
	}
	return path
}
