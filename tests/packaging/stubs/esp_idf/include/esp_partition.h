/* The functions of ESP-IDF's esp_partition.h that packages call. */
#ifndef ESP_PARTITION_H
#define ESP_PARTITION_H

#include <stddef.h>
#include <stdint.h>

enum { ESP_OK = 0, ESP_PARTITION_TYPE_DATA = 1, ESP_PARTITION_MMAP_DATA = 0 };
typedef int esp_partition_subtype_t;
typedef uint32_t esp_partition_mmap_handle_t;
typedef struct {
  uint32_t size;
} esp_partition_t;

const esp_partition_t* esp_partition_find_first(int type, esp_partition_subtype_t subtype, const char* label);
int esp_partition_mmap(const esp_partition_t* partition, size_t offset, size_t size, int memory, const void** mapped,
                       esp_partition_mmap_handle_t* handle);
void esp_partition_munmap(esp_partition_mmap_handle_t handle);

#endif
