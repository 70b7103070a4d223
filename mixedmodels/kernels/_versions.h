/* Functions in two versions, of which the loader takes the one for the processor it finds.

   The third level of x86-64 has four doubles to a register, and multiplies and adds in one step. The fourth has
   eight, which gained nothing: rows wait for memory and for divisions. Compilers that do not know the levels make
   one of four doubles. */
#ifndef MIXEDMODELS_VERSIONS_H
#define MIXEDMODELS_VERSIONS_H

#if !(defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__))
#define IN_VERSIONS
#elif __GNUC__ >= 12
#define IN_VERSIONS __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define IN_VERSIONS __attribute__((target_clones("avx2", "default")))
#endif

#endif
