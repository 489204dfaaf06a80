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
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"k8s.io/apimachinery/pkg/util/duration"
)

// show runs the backends for the story, follows the API server, and shows both.
type show struct {
	screen   *screen
	backends []*backend
	updates  <-chan update
	*state
	// recent are the last lines that were printed.
	recent []string
}

func (s *show) log(source, text string) { s.logAt(time.Now(), change{source, text}) }

func (s *show) logAt(at time.Time, changes ...change) {
	for _, change := range changes {
		line := fmt.Sprintf("%s  %-7s  %s", at.Format("15:04:05.000"), change.source, change.text)
		s.screen.printChange(line)
		s.recent = append(s.recent, line)
	}
	s.recent = s.recent[max(len(s.recent)-10, 0):]
}

func (s *show) stop(i int) {
	s.backends[i].stop()
	s.log("backend", fmt.Sprintf("stopped the backend of %s (%s)", addresses[i], s.backends[i].address))
}

func (s *show) start(ctx context.Context, i int) error {
	if err := s.backends[i].start(ctx); err != nil {
		return err
	}
	s.log("backend", fmt.Sprintf("restarted the backend of %s (%s)", addresses[i], s.backends[i].address))
	return nil
}

// wait shows what the API server reports until the condition holds or the limit is over.
func (s *show) wait(ctx context.Context, limit time.Duration, scene string, holds func() bool) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	began := time.Now()
	for time.Since(began) < limit && !holds() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case update := <-s.updates:
			s.logAt(update.at, s.observe(update)...)
		case <-ticker.C:
		}
		s.screen.draw(func(height int) []string { return s.lines(sceneAt(scene, time.Since(began)), height) })
	}
	return nil
}

// row has the columns of the endpoints.
const row = "%-14s%-8s%-9s%-7s%-9s%-13s%s"

// lines are the view: the scene, the endpoints, what kubectl prints, and as many of the last
// changes as there is room for.
func (s *show) lines(scene string, height int) []string {
	lines := []string{paint("1", "NOW  ") + scene, "",
		paint("1", fmt.Sprintf(row, "ADDRESS", "ZONE", "BACKEND", "READY", "SERVING", "TERMINATING", "HEALTH"))}
	for i, address := range addresses {
		backend := "down"
		if s.backends[i].server != nil {
			backend = "up"
		}
		published, ok := s.conditions(address)
		if !ok {
			published = conditions{"-", "-", "-"}
		}
		lines = append(lines, fmt.Sprintf(row, address, zones[i], colored(backend, 9), colored(published.ready, 7), colored(published.serving, 9), published.terminating, s.health(address)))
	}
	lines = append(lines, "", paint("1", "$ kubectl get extsvc"))
	if columns := s.columns(); s.object == nil {
		lines = append(lines, fmt.Sprintf("No resources found in %s namespace.", namespace))
	} else {
		const row = "%-12s%-12s%-11s%-11s%-7s%s"
		age := duration.HumanDuration(time.Since(s.object.CreationTimestamp.Time))
		lines = append(lines, fmt.Sprintf(row, "NAME", "SERVICE", "ENDPOINTS", "AVAILABLE", "READY", "AGE"),
			fmt.Sprintf(row, name, s.object.Status.TargetService, columns[0], columns[1], columns[2], age))
	}
	lines = append(lines, "", paint("1", "LATELY")+paint("2", "  (scroll up for commands to try; Ctrl-C ends the demo)"))
	room := max(height-len(lines), 0)
	lines = append(lines, s.recent[max(len(s.recent)-room, 0):]...)
	return lines[:min(len(lines), max(height, 1))]
}

// screen prints lines. On a terminal it shows a view below them, which it draws again and again.
type screen struct {
	out io.Writer
	// size is that of the terminal; nil if there is none.
	size func() (width, height int)
	// width is that of the terminal when the view was drawn last, and drawn is that view.
	width int
	drawn []string
}

// newScreen is without a view outside a terminal, and for users who want no escape codes
// (no-color.org).
func newScreen(out *os.File) *screen {
	s := &screen{out: out}
	// This one request (tty_ioctl(4)) is no reason for a module.
	var size struct{ lines, columns, xPixels, yPixels uint16 }
	ask := func() bool {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, out.Fd(), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
		return errno == 0
	}
	if ask() && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		s.size = func() (int, int) {
			if ask(); size.columns == 0 || size.lines == 0 { // some terminals do not tell
				return 80, 24
			}
			return int(size.columns), int(size.lines)
		}
	}
	return s
}

// println prints lines that stay.
func (s *screen) println(text string) { fmt.Fprintln(s.out, text) }

// printChange prints a change unless the view shows it.
func (s *screen) printChange(change string) {
	if s.size == nil {
		s.println(change)
	}
}

// draw shows a view, which may be of the height, in the place of the one before.
func (s *screen) draw(view func(height int) []string) {
	if s.size == nil {
		return
	}
	width, height := s.size()
	lines := view(height - 1)
	if slices.Equal(lines, s.drawn) && width == s.width {
		return // somebody may be marking text with the mouse
	}
	switch {
	case len(s.drawn) > 0 && width != s.width:
		fmt.Fprint(s.out, "\x1b[2J\x1b[H") // the terminal has wrapped the lines before
	case len(s.drawn) > 0:
		fmt.Fprintf(s.out, "\x1b[%dA\r", len(s.drawn))
	}
	// Without the cursor, and without wrapping long lines.
	fmt.Fprintf(s.out, "\x1b[?25l\x1b[?7l%s\x1b[K\r\n\x1b[J\x1b[?7h\x1b[?25h", strings.Join(lines, "\x1b[K\r\n"))
	s.width, s.drawn = width, lines
}

// keep leaves the view as it is, so that the next output is below it.
func (s *screen) keep() { s.drawn = nil }

// colored is green for what is well and red for what is not, padded to the width.
func colored(text string, width int) string {
	style := "31"
	switch text {
	case "up", "true":
		style = "32"
	case "-":
		style = "2"
	}
	return paint(style, fmt.Sprintf("%-*s", width, text))
}

// paint puts the text into an SGR style.
func paint(style, text string) string { return "\x1b[" + style + "m" + text + "\x1b[0m" }
