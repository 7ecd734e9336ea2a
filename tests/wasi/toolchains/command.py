import datetime, hashlib, json, os, random, re, sys, time
from wit_world import exports


class Run(exports.Run):
    def run(self):
        print(sys.argv[1:], dict(os.environ))
        print(json.dumps({"a": [1, 2.5, None]}), re.sub("b+", "X", "abbbc"),
              hashlib.sha256(b"x").hexdigest()[:16])
        print(datetime.datetime.now().year >= 2020, random.random() != random.random())
        start = time.monotonic()
        time.sleep(0.02)
        print("slept", time.monotonic() - start >= 0.02)
        with open("/data/x.txt", "w") as f:
            f.write("in a file")
        print(open("/data/x.txt").read(), os.listdir("/data"), os.stat("/data/x.txt").st_size)
        os.mkdir("/data/d")
        os.rename("/data/x.txt", "/data/d/y")
        print(os.listdir("/data/d"))
        os.remove("/data/d/y")
        os.rmdir("/data/d")
        try:
            open("/data/../secret")
        except OSError as e:
            print(type(e).__name__)
        print("read", sys.stdin.read())
        sys.exit(1)
