// getopt over arguments that the runner gives.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char** argv) {
  int c;
  opterr = 0;
  while ((c = getopt(argc, argv, "vn:o:")) != -1) switch (c) {
      case 'v':
        puts("verbose");
        break;
      case 'n':
        printf("number %d\n", atoi(optarg));
        break;
      case 'o':
        printf("output %s\n", optarg);
        break;
      default:
        printf("unknown -%c\n", optopt);
        return 2;
    }
  for (; optind < argc; ++optind) printf("rest %s\n", argv[optind]);
  return 0;
}
