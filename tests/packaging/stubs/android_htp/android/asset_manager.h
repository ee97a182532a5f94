/* What the headers of a package use of Android's assets, to be checked by a compiler without the NDK. */
#ifndef ASSET_MANAGER_H
#define ASSET_MANAGER_H

#include <sys/types.h>

extern "C" {
struct AAssetManager;
struct AAsset;
enum { AASSET_MODE_BUFFER = 3 };
AAsset* AAssetManager_open(AAssetManager* manager, const char* name, int mode);
const void* AAsset_getBuffer(AAsset* asset);
off_t AAsset_getLength(AAsset* asset);
void AAsset_close(AAsset* asset);
}

#endif
