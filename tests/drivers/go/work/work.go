// Package work is what the Go programs share; the work and what they print is told in docs/drivers.md.
package work

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
)

var (
	Rounds  = number("ROUNDS")
	Clients = number("CLIENTS")
)

const (
	Big, Batch, Copied = 2000, 10, 50

	Insert    = "INSERT INTO work (client, kind, value) VALUES ($1, $2, $3)"
	Fail      = "SELECT 1 / $1::int"
	BigResult = "SELECT n, repeat('x', 100) FROM generate_series(1, $1::int) AS n"
	Kept      = "SELECT kind, count(*), sum(value) FROM work WHERE client = $1 GROUP BY kind"
)

// Counts is what one client has counted.
type Counts map[string]int

// Run runs all clients at once, says what they counted, and stays until the input ends.
func Run(name, module string, client func(number int, counts Counts) error) {
	fmt.Println("driver", name, version(module))
	var all sync.WaitGroup
	var printing sync.Mutex
	for number := range Clients {
		all.Go(func() {
			counts := Counts{}
			err := client(number, counts)
			printing.Lock()
			defer printing.Unlock()
			if err != nil {
				fmt.Println("failed", number, strings.Join(strings.Fields(err.Error()), " "))
				return
			}
			for what, count := range counts {
				fmt.Printf("%d %s=%d\n", number, what, count)
			}
		})
	}
	all.Wait()
	fmt.Println("done")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func version(module string) string {
	built, _ := debug.ReadBuildInfo()
	for _, dependency := range built.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	return "?"
}

func number(name string) int {
	found, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		panic(err)
	}
	return found
}
