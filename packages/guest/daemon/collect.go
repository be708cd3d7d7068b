package main

// collector keeps the first or the last bytes of an output and counts the rest.
type collector struct {
	max     int
	tail    bool
	content []byte
	start   int // of the ring, once it is full
	dropped int64
}

func (c *collector) add(content []byte) {
	if !c.tail {
		room := min(c.max-len(c.content), len(content))
		c.content = append(c.content, content[:room]...)
		c.dropped += int64(len(content) - room)
		return
	}
	if room := c.max - len(c.content); room > 0 {
		fill := min(room, len(content))
		c.content = append(c.content, content[:fill]...)
		content = content[fill:]
	}
	c.dropped += int64(len(content))
	if c.max == 0 {
		return
	}
	if over := len(content) - c.max; over > 0 {
		content = content[over:]
		c.start = (c.start + over) % c.max
	}
	for len(content) > 0 {
		count := copy(c.content[c.start:], content)
		c.start = (c.start + count) % c.max
		content = content[count:]
	}
}

// bytes is what was kept, in order.
func (c *collector) bytes() []byte {
	if c.start == 0 {
		return c.content
	}
	return append(append(make([]byte, 0, len(c.content)), c.content[c.start:]...), c.content[:c.start]...)
}
