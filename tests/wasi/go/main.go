// Goroutines, channels, maps, formatting, JSON, compression and files.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sort"
	"strings"
	"sync"
	"time"
)

type item struct {
	Name  string            `json:"name"`
	Price float64           `json:"price"`
	Tags  []string          `json:"tags,omitempty"`
	Extra map[string]string `json:"extra,omitempty"`
}

func check(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func main() {
	fmt.Println(os.Args[1:], os.Getenv("MOOD"))

	// A pipeline of goroutines.
	jobs, results := make(chan int), make(chan int)
	var workers sync.WaitGroup
	for w := 0; w < 8; w++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for j := range jobs {
				results <- j * j
			}
		}()
	}
	go func() {
		for i := 1; i <= 1000; i++ {
			jobs <- i
		}
		close(jobs)
		workers.Wait()
		close(results)
	}()
	sum := 0
	for r := range results {
		sum += r
	}
	fmt.Println("sum of squares", sum)

	select {
	case <-time.After(20 * time.Millisecond):
		fmt.Println("timer fired")
	}

	counts := map[rune]int{}
	for _, r := range "mississippi" {
		counts[r]++
	}
	keys := make([]rune, 0, len(counts))
	for k := range counts {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i] < keys[j] })
	for _, k := range keys {
		fmt.Printf("%c=%d ", k, counts[k])
	}
	fmt.Println()

	in := []item{{"pen", 1.25, []string{"blue"}, nil}, {"book", 12, nil, map[string]string{"isbn": "x"}}}
	text, err := json.MarshalIndent(in, "", " ")
	check(err)
	var out []item
	check(json.Unmarshal(text, &out))
	fmt.Printf("%+v\n", out)

	data := []byte(strings.Repeat("compress me, please. ", 5000))
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err = z.Write(data)
	check(err)
	check(z.Close())
	unzip, err := gzip.NewReader(&packed)
	small := packed.Len()
	check(err)
	unpacked, err := io.ReadAll(unzip)
	check(err)
	fmt.Println(len(data), small < 1000, bytes.Equal(data, unpacked))
	fmt.Printf("%x\n", sha256.Sum256(data))

	check(os.MkdirAll("/data/x/y", 0o755))
	for i := 0; i < 5; i++ {
		check(os.WriteFile(fmt.Sprintf("/data/x/f%d", i), []byte(strings.Repeat("z", i)), 0o644))
	}
	entries, err := os.ReadDir("/data/x")
	check(err)
	for _, e := range entries {
		info, err := e.Info()
		check(err)
		if e.IsDir() {
			fmt.Print(e.Name(), "/ ")
		} else {
			fmt.Print(e.Name(), ":", info.Size(), " ")
		}
	}
	fmt.Println()
	f, err := os.OpenFile("/data/x/f1", os.O_APPEND|os.O_RDWR, 0)
	check(err)
	_, err = f.WriteString("more")
	check(err)
	_, err = f.Seek(0, io.SeekStart)
	check(err)
	all, err := io.ReadAll(f)
	check(err)
	check(f.Close())
	fmt.Println(string(all))
	_, err = os.Open("/data/none")
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	_, err = os.ReadFile("/data/../../etc/passwd")
	fmt.Println(err != nil)
	check(os.RemoveAll("/data/x"))

	lines := 0
	scanner := bufio.NewScanner(os.Stdin)
	for scanner.Scan() {
		lines++
	}
	fmt.Fprintln(os.Stderr, lines, "lines")

	func() {
		defer func() { fmt.Println("recovered:", recover()) }()
		var m map[string]int
		m["x"] = 1
	}()
	os.Exit(9)
}
