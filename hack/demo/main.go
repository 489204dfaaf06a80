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

// The demo shows Farpoint at work on a machine that has neither a cluster nor anything
// outside of one: an embedded control plane, the operator, and four HTTP servers that are
// stopped and started again one after the other. `make demo` builds and runs it.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

var (
	// introduction is for people who see the project for the first time.
	//go:embed introduction.txt
	introduction string
	// guide shows how to look at the cluster, and what to try there.
	//go:embed guide.txt
	guide string
)

func main() {
	utilruntime.Must(farpointv1.AddToScheme(clientgoscheme.Scheme))
	ctrl.SetLogger(logr.Discard())
	// SIGPIPE as well, or `make demo | head` would leave a control plane behind.
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer release()
	limit, err := limitFrom(os.Getenv("DEMO_SECONDS"))
	if err == nil {
		err = run(ctx, newScreen(os.Stdout), limit)
	}
	if err != nil && ctx.Err() == nil { // ending the demo by a signal is no error
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// limitFrom reads DEMO_SECONDS. Zero means that the demo does not end by itself.
func limitFrom(text string) (time.Duration, error) {
	const longest = 24 * 60 * 60
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 1 || seconds > longest {
		return 0, fmt.Errorf("DEMO_SECONDS=%s: give a whole number of seconds from 1 to %d, or leave it out to run until Ctrl-C", text, longest)
	}
	return time.Duration(seconds) * time.Second, nil
}

// run starts everything, plays the story until the context ends or the limit is over, which is
// counted from when the control plane is up, and stops everything in the opposite order.
func run(ctx context.Context, out *screen, limit time.Duration) (err error) {
	folder, err := os.MkdirTemp("", "farpoint-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	plane, err := newControlPlane(folder)
	if err != nil {
		return err
	}
	s := &show{screen: out, state: newState()}
	story := &story{stage: s, addresses: addresses}
	defer func() { out.println(story.summary()) }()
	defer func() { err = errors.Join(err, plane.stop()) }()

	out.println(introduction)
	s.log("demo", "starting a control plane of its own: etcd and kube-apiserver")
	starting := context.AfterFunc(ctx, func() {
		out.println("Stopping as soon as the control plane is up: it cannot be stopped before.")
	})
	if err := plane.start(ctx); err != nil {
		return err
	}
	starting()
	s.log("demo", "the control plane is up")
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	if err := s.perform(ctx, plane, folder, story); ctx.Err() == nil {
		return err
	}
	if len(story.recoveries) == 0 {
		return fmt.Errorf("the time of DEMO_SECONDS=%.0f is over, and the API server showed no endpoint go not ready and ready again", limit.Seconds())
	}
	return nil
}

// perform starts the backends and the operator, creates the ExternalService and plays the story.
func (s *show) perform(ctx context.Context, plane *controlPlane, folder string, story *story) error {
	var err error
	if s.backends, err = newBackends(ctx); err != nil {
		return err
	}
	log := filepath.Join(folder, "operator.log")
	s.log("demo", "starting the operator; its log is "+log)
	ctx, cancel := context.WithCancel(ctx)
	ended, err := startOperator(ctx, plane.kubeconfig, log)
	if err != nil {
		cancel()
		return err
	}
	defer func() {
		s.screen.keep()
		s.screen.println("\nStopping the operator, the backends and the control plane.")
		cancel()
		<-ended
		for _, backend := range s.backends {
			backend.stop()
		}
	}()
	ctx, fail := context.WithCancelCause(ctx)
	go func() {
		<-ended
		fail(operatorFailure(log))
	}()

	object, manifest := externalService(s.backends)
	file := filepath.Join(folder, name+".yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		return err
	}
	reader, err := client.New(plane.config, client.Options{})
	if err != nil {
		return err
	}
	if s.updates, err = watch(ctx, plane.config); err != nil {
		return err
	}
	s.log("demo", "creating this ExternalService:")
	created := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if err := errors.Join(reader.Create(ctx, created), reader.Create(ctx, object)); err != nil {
		return err
	}
	indented := "  " + strings.ReplaceAll(strings.TrimSpace(manifest), "\n", "\n  ")
	s.screen.println("\n" + indented + "\n\n" + fmt.Sprintf(guide, plane.kubectl, plane.kubeconfig, file))
	return story.play(ctx)
}
